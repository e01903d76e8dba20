import {
  ArgumentError,
  arange,
  bitAnd,
  bitXor,
  calledAs,
  checkArguments,
  checkOptions,
  clip,
  type Dim,
  DTypeError,
  formatShape,
  isFloat,
  multiplyDims,
  round,
  ShapeError,
  shapesEqual,
  shiftLeft,
  shiftRight,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';

/** Bits of a quantised key or value. */
export type PageBits = 8 | 4;

/** Keys or values as integers, and what they are multiplied by. */
export interface QuantizedRows {
  /** u32 `[T, K, D * bits / 32]`: signed integers, the first in the lowest bits of a word. */
  readonly words: Tensor;
  /** f32 `[T, K, N]`: a factor for each D / N neighbouring values. */
  readonly scales: Tensor;
}

/** Integers in a word. */
const perWord = (bits: PageBits) => 32 / bits;

/**
 * Rounds keys or values to signed integers of 8 or 4 bits, symmetric around 0, for pages that attention reads (`KvView.quantized`).
 *
 * @param x `[T, K, D]`, f32 or f16, D a multiple of 8
 * @param options `groups`: N, into how many parts with a factor each a head is cut, by default 1; D / N is a multiple of 8
 * @returns The error of a value is at most half of its factor: the group's largest magnitude over 127, or over 7.
 * @throws ArgumentError, ShapeError, DTypeError
 */
export function quantizeRows(x: Tensor, bits: PageBits, options: { readonly groups?: number } = {}): QuantizedRows {
  checkArguments('quantizeRows', 'tensor', { x });
  checkOptions('quantizeRows', options, { groups: 'size?' });
  const { groups = 1 } = options;
  if (bits !== 8 && bits !== 4) throw new ArgumentError(`quantizeRows: bits must be 8 or 4, got ${String(bits)}`);
  if (!isFloat(x.dtype)) throw new DTypeError(`quantizeRows: takes f32 or f16, got ${x.dtype}`);
  const [T, K, D] = x.shape as [Dim, number, number];
  if (x.rank !== 3 || typeof D !== 'number' || !Number.isInteger(groups) || groups < 1 || D % (8 * groups) !== 0)
    throw new ShapeError(
      `quantizeRows: takes [T, K, D] with groups of a multiple of 8 values, got ${formatShape(x.shape)} in ${groups}`,
    );
  const most = 2 ** (bits - 1) - 1;
  const grouped = x.cast('f32').reshape([T, K, groups, D / groups]);
  const scales = grouped
    .abs()
    .max(-1, { keepDims: true })
    .mul(1 / most);
  // a group of zeros stays one
  const inverse = scales.maximum(1e-30).pow(-1);
  const integers = clip(round(grouped.mul(inverse)), -most, most).cast('i32');
  const count = perWord(bits);
  const fields = bitAnd(integers, 2 ** bits - 1)
    .cast('u32')
    .reshape([T, K, D / count, count]);
  const places = arange(x.device, count, 'u32').mul(bits);
  return { words: shiftLeft(fields, places).sum(-1), scales: scales.reshape([T, K, groups]) };
}

/** Quantised rows as f32 `[T, K, D]`. */
export function dequantizeRows(rows: QuantizedRows, bits: PageBits): Tensor {
  checkOptions('dequantizeRows', rows, { words: 'tensor', scales: 'tensor' });
  checkOptions('dequantizeRows', { bits }, { bits: [8, 4] });
  return calledAs('dequantizeRows', () => {
    const { words, scales } = rows;
    const [T, K, W] = words.shape as [Dim, number, number];
    const groups = scales.shape[2] as number;
    const count = perWord(bits);
    const places = arange(words.device, count, 'u32').mul(bits);
    const fields = bitAnd(shiftRight(words.reshape([T, K, W, 1]), places), 2 ** bits - 1);
    const sign = 2 ** (bits - 1);
    const integers = bitXor(fields, sign).cast('i32').sub(sign).cast('f32');
    return integers
      .reshape([multiplyDims(T, K), groups, (W * count) / groups])
      .mul(scales.cast('f32').reshape([multiplyDims(T, K), groups, 1]))
      .reshape([T, K, W * count]);
  });
}

/** What stands in the pages for each of `slots`, `K` and `D`. @throws ShapeError, DTypeError */
export function checkQuantizedPages(
  [keys, values, keyScales, valueScales]: readonly [TensorType, TensorType, TensorType, TensorType],
  bits: PageBits,
  K: number,
  D: number,
): void {
  const slots = keys.shape[0]!;
  const groups = keyScales.shape[2];
  if (D % 8 !== 0 || [keys, values].some(({ shape }) => !shapesEqual(shape, [slots, K, D / perWord(bits)])))
    throw new ShapeError(
      `attend: a cache's keys and values of ${bits} bits must be [slots, ${K}, ${D / perWord(bits)}] for heads of ${D}, a multiple of 8, got ${formatShape(keys.shape)} and ${formatShape(values.shape)}`,
    );
  const fits = typeof groups === 'number' && D % (8 * groups) === 0;
  if (!fits || [keyScales, valueScales].some(({ shape }) => !shapesEqual(shape, [slots, K, groups])))
    throw new ShapeError(
      `attend: a cache's scales must be [slots, ${K}, N], D / N a multiple of 8, got ${formatShape(keyScales.shape)} and ${formatShape(valueScales.shape)}`,
    );
  if (
    [keys, values].some(({ dtype }) => dtype !== 'u32') ||
    [keyScales, valueScales].some(({ dtype }) => !isFloat(dtype))
  )
    throw new DTypeError(
      `attend: a quantised cache's keys and values must be u32 and its scales f32 or f16, got ${[keys, values, keyScales, valueScales].map(({ dtype }) => dtype).join(', ')}`,
    );
}
