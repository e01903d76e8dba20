import {
  bitAnd,
  checkArguments,
  type Dim,
  DTypeError,
  formatShape,
  isFloat,
  multiplyDims,
  ShapeError,
  shiftRight,
  type Tensor,
} from '@heddle/tensor';
import type { PackedCall } from './arguments.ts';

/**
 * Rotates every head by a fixed matrix (Hadamard, over the largest power of two that divides its width): outliers of single
 * channels are spread over many, so that a head can be kept in few bits. Scores of rotated queries and keys are those of the
 * others, and rotated twice a head is what it was. See QuaRot, https://arxiv.org/abs/2404.00456.
 * @param x `[T, K, D]`, f32 or f16
 * @returns the same shape and dtype
 * @throws ShapeError, DTypeError
 */
export function rotateHeads(x: Tensor): Tensor {
  checkArguments('rotateHeads', 'tensor', { x });
  const [T, K, D] = x.shape as [Dim, number, number];
  if (x.rank !== 3 || typeof D !== 'number' || typeof K !== 'number')
    throw new ShapeError(`rotateHeads: takes [T, K, D], got ${formatShape(x.shape)}`);
  if (!isFloat(x.dtype)) throw new DTypeError(`rotateHeads: takes f32 or f16, got ${x.dtype}`);
  const width = largestPower(D);
  if (width === 1) return x;
  const rows = multiplyDims(T, K * (D / width));
  return x.cast('f32').reshape([rows, width]).matmul(hadamard(x, width)).reshape([T, K, D]).cast(x.dtype);
}

/** Attention over a cache whose keys and values are rotated: by rotating all else. */
export function overRotated(call: PackedCall, attend: (call: PackedCall) => readonly Tensor[]): readonly Tensor[] {
  const { q, k, v, kv } = call;
  if (!v || !kv?.values)
    throw new ShapeError('attend: rotated keys and values need values of their own, and values are in keys');
  const { rotated: _, ...view } = kv;
  const [out, ...rest] = attend({ ...call, q: rotateHeads(q), k: rotateHeads(k), v: rotateHeads(v), kv: view });
  return [rotateHeads(out!), ...rest];
}

function largestPower(size: number): number {
  let power = 1;
  while (size % (2 * power) === 0) power *= 2;
  return power;
}

/** `[width, width]`: symmetric, and its own inverse. */
function hadamard({ device }: Tensor, width: number): Tensor {
  const at = device.arange(width, 'u32');
  // a sign for each bit that row and column both have
  const common = bitAnd(at.reshape([width, 1]), at.reshape([1, width]));
  let odd = bitAnd(common, 1);
  for (let bit = 1; 2 ** bit < width; bit++) odd = odd.add(bitAnd(shiftRight(common, bit), 1));
  return bitAnd(odd, 1)
    .cast('f32')
    .mul(-2 / Math.sqrt(width))
    .add(1 / Math.sqrt(width));
}
