import { checkArguments } from '../checks/check-arguments.ts';

/** Rotations of the eight rounds that repeat. */
export const rotations: readonly number[] = [13, 15, 26, 6, 17, 29, 16, 24];

/** Mixed into the key so that an all-zero key does not stay zero. */
export const parity = 0x1bd11bda;

/**
 * Threefry-2x32 with 20 rounds: 64 random bits from a key and a counter.
 *
 * A pure function of its four words (read modulo 2^32), so the same key and counter give the same bits on every machine
 * and in any order of evaluation.
 *
 * @returns Two unsigned 32-bit words.
 * @see https://doi.org/10.1145/2063384.2063405 (Salmon et al., Parallel random numbers: as easy as 1, 2, 3)
 */
export function threefry2x32(key0: number, key1: number, counter0: number, counter1: number): [number, number] {
  const key = [key0 | 0, key1 | 0, parity ^ key0 ^ key1] as const;
  let x0 = (counter0 + key[0]) | 0;
  let x1 = (counter1 + key[1]) | 0;
  for (let round = 0; round < 20; round++) {
    const by = rotations[round % 8]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << by) | (x1 >>> (32 - by))) ^ x0;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x0 = (x0 + key[injection % 3]!) | 0;
      x1 = (x1 + key[(injection + 1) % 3]! + injection) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** A number in [0, 1) of 53 random bits, from the two words of `threefry2x32`. @throws ArgumentError for what is no list */
export function uniformFromBits(words: readonly [number, number]): number {
  checkArguments('uniformFromBits', 'list', { words });
  const [high, low] = words;
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53;
}

/**
 * A value of the standard Gumbel distribution, -log(-log(1 - v)), from the two words of `threefry2x32`: v is the middle of one
 * of 2^23 cells between 0 and 1, below 1/8 of one of 2^46, for the rare large values are those that decide.
 * @throws ArgumentError for what is no list
 */
export function gumbelFromBits(words: readonly [number, number]): number {
  checkArguments('gumbelFromBits', 'list', { words });
  const [high, low] = words;
  const cell = high >>> 9;
  const coarse = (2 * cell + 1) * 2 ** -24;
  if (cell >= 2 ** 20) return -Math.log(-Math.log1p(-coarse));
  const fraction = ((high & 0x1ff) << 14) | (low >>> 18);
  return -Math.log(-Math.log1p(-(cell * 2 ** -23 + (2 * fraction + 1) * 2 ** -47)));
}
