import { bitAnd, type Device, div, pad, shiftLeft, shiftRight, sign, type Tensor, where } from '@heddle/tensor';

/** Values that share a scale. */
export const blockLength = 256;
const codesPerWord = 4;

/** A tensor as one byte a value: four codes in each u32 of `codes`, and the largest magnitude of each block of 256. */
export interface BlockwiseTensor {
  readonly codes: Tensor;
  readonly scales: Tensor;
}

/**
 * How a value between 0 and 1 (a share of the block's largest) becomes one of the codes 0 to `levels`: its root of that
 * degree, rounded. Higher degrees give small values more of the codes.
 */
export interface BlockwiseCode {
  readonly signed: boolean;
  readonly degree: 2 | 4;
}

/** Sizes of the parts for so many values. */
export function blockwiseSizes(count: number): { readonly words: number; readonly blocks: number } {
  const blocks = Math.ceil(count / blockLength);
  return { blocks, words: (blocks * blockLength) / codesPerWord };
}

/**
 * One byte for each value of `x`, f32. What is not 0 never becomes 0 in an unsigned code: a second moment of 0 would make a
 * step of any length.
 */
export function quantizeBlockwise(x: Tensor, { signed, degree }: BlockwiseCode): BlockwiseTensor {
  const count = (x.shape as readonly number[]).reduce((a, b) => a * b, 1);
  const { blocks } = blockwiseSizes(count);
  const rows = pad(x.reshape([count]), [0], [blocks * blockLength - count]).reshape([blocks, blockLength]);
  const scales = rows.abs().max(1, { keepDims: true });
  const share = rows
    .abs()
    .mul(where(scales.greater(0), div(1, scales), 0))
    .minimum(1);
  const levels = signed ? 127 : 255;
  const root = degree === 2 ? share.sqrt() : share.sqrt().sqrt();
  const level = root.mul(levels).round();
  const code = signed
    ? where(rows.less(0), level.neg(), level).add(128) // 1 to 255
    : where(share.greater(0), level.maximum(1), level);
  const bytes = code.cast('u32').reshape([(blocks * blockLength) / codesPerWord, codesPerWord]);
  return { codes: shiftLeft(bytes, bitPlaces(x.device)).sum(1), scales: scales.reshape([blocks]) };
}

/** The values of `quantizeBlockwise`, f32 of `shape`. */
export function dequantizeBlockwise(
  { codes, scales }: BlockwiseTensor,
  { signed, degree }: BlockwiseCode,
  shape: readonly number[],
): Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  const [words] = codes.shape as readonly [number];
  const bytes = bitAnd(shiftRight(codes.reshape([words, 1]), bitPlaces(codes.device)), 255);
  const level = bytes.cast('f32').reshape([scales.shape[0]!, blockLength]);
  const root = signed ? level.sub(128).div(127) : level.div(255);
  const square = root.mul(root);
  const share = degree === 2 ? (signed ? square.mul(sign(root)) : square) : square.mul(square);
  const values = share.mul(scales.reshape([scales.shape[0]!, 1]));
  return values
    .reshape([words * codesPerWord])
    .slice(0, 0, count)
    .reshape(shape);
}

/** Where the four bytes of a word begin. */
const bitPlaces = (device: Device) => device.arange(codesPerWord, 'u32').mul(8);
