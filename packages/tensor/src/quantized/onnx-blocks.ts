import type { OnnxBlocks, OnnxBuilder } from '../graph/onnx-lowering.ts';
import { levelsOf } from './onnx-levels.ts';

const domain = 'com.microsoft';

/**
 * `x` (f32, `rank` axes, the last of size k) times the transpose of weights `[n, k]`, by MatMulNBits, exactly.
 *
 * The runtime is fast in f32 for levels of four bits only: with eight bits a product took 20 to 100 ms that takes 0.9 with f32
 * weights and 0.4 with four bits (1,024 x 4,096, one thread). So levels of more bits (q8_0, q6_k, q5_k, mxfp4) are two products, of
 * the upper and of the lower four. The minima of q4_k and q5_k are multiplied with the sums of `x` over the blocks and subtracted.
 */
export function multiplyBlocks(builder: OnnxBuilder, x: string, rank: number, weight: OnnxBlocks): string {
  const [n, k] = weight.shape as readonly [number, number];
  const { blockSize, bits, zero, levels, scales, minima } = levelsOf(weight.format, weight.bytes, n * k);
  const blocks = k / blockSize;
  const product = (four: Uint8Array, factors: Float32Array, nought: number) =>
    builder.op(
      'MatMulNBits',
      [
        x,
        builder.initializer('u8', [n, blocks, blockSize / 2], pairs(four)),
        builder.initializer('f32', [n * blocks], factors),
        builder.initializer(
          'u8',
          [n * Math.ceil(blocks / 2)],
          new Uint8Array(n * Math.ceil(blocks / 2)).fill(nought * 17),
        ),
      ],
      { domain, attributes: { K: k, N: n, bits: 4, block_size: blockSize } },
    );
  const less = (whole: string) =>
    minima ? builder.op('Sub', [whole, byMinima(builder, x, rank, minima, { n, blocks, blockSize })]) : whole;
  if (bits === 4) return less(product(levels, scales, zero));
  const upper = levels.map((level) => level >> 4);
  const lower = levels.map((level) => level & 15);
  const sixteenfold = scales.map((scale) => 16 * scale);
  return less(builder.op('Add', [product(upper, sixteenfold, zero / 16), product(lower, scales, 0)]));
}

/** Two neighbouring levels of four bits a byte. */
function pairs(levels: Uint8Array): Uint8Array {
  const out = new Uint8Array(levels.length / 2);
  for (let i = 0; i < out.length; i++) out[i] = levels[2 * i]! | (levels[2 * i + 1]! << 4);
  return out;
}

function byMinima(
  builder: OnnxBuilder,
  x: string,
  rank: number,
  minima: Float32Array,
  { n, blocks, blockSize }: { readonly n: number; readonly blocks: number; readonly blockSize: number },
): string {
  const shape = [...new Array<number>(rank - 1).fill(0), blocks, blockSize];
  const cut = builder.op('Reshape', [x, builder.constant('i64', [shape.length], shape)]);
  const sums = builder.op('ReduceSum', [cut, builder.constant('i64', [1], [-1])], { attributes: { keepdims: 0 } });
  return builder.op('FusedMatMul', [sums, builder.initializer('f32', [n, blocks], minima)], {
    domain,
    attributes: { transA: 0, transB: 1 },
  });
}

/** Rows of a table `[V, E]` at `indices` (i32, within it, `rank` axes): `[...indices, E]` f32, by GatherBlockQuantized. */
export function gatherBlocks(builder: OnnxBuilder, indices: string, rank: number, table: OnnxBlocks): string {
  const [rows, width] = table.shape as readonly [number, number];
  const taken = levelsOf(table.format, table.bytes, rows * width);
  const { blockSize, bits, minima, zero } = taken;
  const blocks = width / blockSize;
  const noughts = new Uint8Array(rows * Math.ceil((blocks * bits) / 8)).fill(bits === 4 ? zero * 17 : zero);
  const values = builder.op(
    'GatherBlockQuantized',
    [
      builder.initializer('u8', [rows, (width * bits) / 8], bits === 4 ? pairs(taken.levels) : taken.levels),
      indices,
      builder.initializer('f32', [rows, blocks], taken.scales),
      builder.initializer('u8', [rows, Math.ceil((blocks * bits) / 8)], noughts),
    ],
    { domain, attributes: { gather_axis: 0, quantize_axis: 1, block_size: blockSize, bits } },
  );
  if (!minima) return values;
  const least = builder.op('Gather', [builder.initializer('f32', [rows, blocks], minima), indices], {
    attributes: { axis: 0 },
  });
  const keep = new Array<number>(rank).fill(0);
  const reshaped = (value: string, inner: readonly number[]) =>
    builder.op('Reshape', [value, builder.constant('i64', [rank + inner.length], [...keep, ...inner])]);
  const apart = builder.op('Sub', [reshaped(values, [blocks, blockSize]), reshaped(least, [blocks, 1])]);
  return reshaped(apart, [width]);
}
