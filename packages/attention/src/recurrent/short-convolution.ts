import {
  addDims,
  calledAs,
  checkArguments,
  checkOptions,
  concat,
  type Dim,
  DTypeError,
  defineOp,
  formatShape,
  isFloat,
  type Op,
  pad,
  recordOne,
  ShapeError,
  shapesEqual,
  type Tensor,
} from '@heddle/tensor';
import { checkConvolution, weightedRows } from './convolution-rows.ts';

/** Which inputs there are after x and weight. */
interface ConvolutionAttributes {
  readonly bias: boolean;
  readonly history: boolean;
}

const optional = <T>(rest: readonly T[], { bias, history }: ConvolutionAttributes) => ({
  bias: bias ? rest[0] : undefined,
  history: history ? rest.at(-1) : undefined,
});

const convolutionOp: Op<ConvolutionAttributes> = defineOp({
  name: 'shortConvolution',
  shape([x, weight, ...rest], attributes) {
    const { bias, history } = optional(rest, attributes);
    checkConvolution('shortConvolution', { x: x!, weight: weight!, bias }, 3);
    const before = [x!.shape[0]!, (weight!.shape[1] as number) - 1, x!.shape[2]!];
    if (history && !shapesEqual(history.shape, before))
      throw new ShapeError(
        `shortConvolution: the history must be ${formatShape(before)}, got ${formatShape(history.shape)}`,
      );
    if (history && !isFloat(history.dtype))
      throw new DTypeError(`shortConvolution: the history must be f32 or f16, got ${history.dtype}`);
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  decompose([x, weight, ...rest], attributes) {
    const { bias, history } = optional(rest, attributes);
    const width = weight!.shape[1] as number;
    const all = afterHistory(x!.cast('f32'), width, history);
    const rows = Array.from({ length: width }, (_, i) => all.slice(1, i, addDims(x!.shape[1]!, i)));
    return [weightedRows(rows, weight!, bias).cast(x!.dtype)];
  },
});

/** W - 1 rows of what was before, or of zeros, and the rows after them. */
function afterHistory(x: Tensor, width: number, history: Tensor | undefined): Tensor {
  if (history) return concat([history.cast(x.dtype), x], 1);
  return pad(x, [0, width - 1, 0], [0, 0, 0]);
}

/** What a convolution gives: its rows, and what a later one over the rows that follow takes as its history. */
export interface ShortConvolution {
  /** Of the shape and dtype of x. */
  readonly out: Tensor;
  /** `[B, W - 1, C]`: the last rows of the inputs, of the dtype of x. */
  readonly history: Tensor;
}

/**
 * A causal convolution over a few rows, each channel by itself: row l is the sum of rows l - W + 1 to l, each times its column of
 * the weight, summed in f32.
 *
 * @param x `[B, L, C]`, f32 or f16
 * @param weight `[C, W]`: the last column is that of the row itself
 * @param options `bias` `[C]`; `history` `[B, W - 1, C]`, the rows before the first: by default zeros
 * @returns differentiable with respect to all of them
 * @throws ShapeError, DTypeError
 * Source: https://arxiv.org/abs/2312.00752
 */
export function shortConvolution(
  x: Tensor,
  weight: Tensor,
  options: { readonly bias?: Tensor | undefined; readonly history?: Tensor | undefined } = {},
): ShortConvolution {
  checkArguments('shortConvolution', 'tensor', { x, weight });
  checkOptions('shortConvolution', options, { bias: 'tensor?', history: 'tensor?' });
  return calledAs('shortConvolution', () => {
    const { bias, history } = options;
    const inputs = [x, weight, ...(bias ? [bias] : []), ...(history ? [history] : [])];
    const out = recordOne(convolutionOp, inputs, { bias: bias !== undefined, history: history !== undefined });
    const L: Dim = x.shape[1]!;
    const width = weight.shape[1] as number;
    return { out, history: afterHistory(x, width, history).slice(1, L, addDims(L, width - 1)) };
  });
}
