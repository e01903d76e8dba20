/** Mixes 32 bits; source: https://github.com/skeeto/hash-prospector (lowbias32). */
function mixed(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d);
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b);
  return (x ^ (x >>> 16)) >>> 0;
}

/**
 * A shuffled order of 0 to `count - 1` that is computed place by place, never held: a Feistel network over the next power of four,
 * walked until it lands within the count. The same for the same seed and epoch, everywhere.
 */
export function permutation(count: number, seed: number, epoch: number): (place: number) => number {
  const bits = Math.max(1, Math.ceil(Math.log2(Math.max(2, count)) / 2));
  const half = 2 ** bits;
  const keys = Array.from({ length: 6 }, (_, round) => mixed(mixed(mixed(seed) ^ epoch) + round));
  const once = (value: number) => {
    let [left, right] = [Math.floor(value / half), value % half];
    for (const key of keys) [left, right] = [right, (left ^ mixed(right ^ key)) & (half - 1)];
    return left * half + right;
  };
  return (place) => {
    let value = once(place);
    while (value >= count) value = once(value);
    return value;
  };
}
