import {
  ArgumentError,
  arange,
  type Device,
  type Dim,
  type KernelNames,
  type RandomKey,
  randomBits,
  type Shape,
  shiftRight,
  type Tensor,
  tensorWords,
  threefryWords,
  wgslWords,
  where,
} from '@heddle/tensor';
import type { DenseSizes } from './arguments.ts';

/*
 * Each head of each sequence has a key of its own. Under it, the block (key position / 4, query row) of threefry is four draws of
 * 16 bits, for four neighbouring keys: a kernel draws one block for them, and nothing overflows at any length.
 */
const draws = 2 ** 16;

/** How many of the 2^16 values of a draw leave a probability out; 0 for none. @throws ArgumentError */
export function dropoutThreshold(p: number): number {
  if (!(p >= 0 && p < 1)) throw new ArgumentError(`attention: dropout p must be in [0, 1), got ${p}`);
  return Math.min(Math.round(p * draws), draws - 1);
}

/** Keys of the heads, u32 `[B, H, 2]`, for q `[B, L, H, D]`. */
export function dropoutKeys(device: Device, [B, , H]: Shape, seed: RandomKey): Tensor {
  return randomBits(device, [B!, H!, 2], seed);
}

/** What the probabilities left in are multiplied by. */
const growth = (threshold: number) => draws / (draws - threshold);

/** Factors of the probabilities, f32 `[B, H, L, S]`: 0, or what makes up for those left out. */
export function dropoutFactors(keys: Tensor, threshold: number, { B, L, S, H }: DenseSizes): Tensor {
  const along = (size: Dim, axis: number) =>
    arange(keys.device, size, 'u32').reshape([0, 1, 2, 3].map((i) => (i === axis ? size : 1)));
  const key = [0, 1].map((i) => keys.slice(-1, i, i + 1).reshape([B, H, 1, 1])) as [Tensor, Tensor];
  const position = along(S, 3);
  const four = shiftRight(position, 2);
  const place = position.sub(four.mul(4));
  const words = threefryWords(tensorWords, key, [four, along(L, 2)]);
  const halves = words.flatMap((word) => {
    const high = shiftRight(word, 16);
    return [word.sub(high.mul(draws)), high];
  });
  const bits = halves.slice(0, -1).reduceRight((rest, half, i) => where(place.equal(i), half, rest), halves.at(-1)!);
  return where(bits.less(threshold), 0, growth(threshold));
}

/** WGSL of `dropout4(query, four)`: the factors of the keys from `4 * four` on; uses `batch` and H. */
export function dropoutText({ at }: KernelNames, threshold: number): string {
  const statements: string[] = [];
  const words = wgslWords((expression) => {
    statements.push(`  let t${statements.length} = ${expression};`);
    return `t${statements.length - 1}`;
  });
  const [x, y] = threefryWords(words, ['key0', 'key1'], ['four', 'query.row']);
  return `fn dropout4(query: Query, four: u32) -> vec4<f32> {
  let at = (batch * H + query.head) * 2u;
  let key0 = ${at.dropoutKeys}(at);
  let key1 = ${at.dropoutKeys}(at + 1u);
${statements.join('\n')}
  let draws = vec4<u32>(${x} & 0xffffu, ${x} >> 16u, ${y} & 0xffffu, ${y} >> 16u);
  return select(vec4<f32>(${growth(threshold)}), vec4<f32>(), draws < vec4<u32>(${threshold}u));
}`;
}
