import { calledAs } from '../checks/called-as.ts';
import { checkArguments, checkFloat } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { DTypeError, ShapeError } from '../checks/errors.ts';
import { dimsEqual } from '../dim.ts';
import { isFloat } from '../dtype.ts';
import { bounded } from '../graph/bounded.ts';
import type { Tensor } from '../graph/tensor.ts';
import { formatShape, shapesEqual, sizeOf } from '../shape.ts';
import { cast } from './elementwise/cast.ts';
import { matmul } from './matmul/matmul.ts';
import { reshape } from './movement/movement.ts';
import { crossEntropyRows, meanLoss } from './rows/cross-entropy-rows.ts';
import { checkLoss } from './rows/loss.ts';

/**
 * x [..., In] times the transpose of weight [Out, In], plus bias [Out] where there is one: a product and a sum, each of which is
 * rounded to its dtype. `dtype` as in `matmul`.
 * @throws ShapeError where these do not fit; DTypeError for operands that are no floats
 */
export function linear(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  options: { readonly dtype?: 'f32' | 'f16' } = {},
): Tensor {
  return calledAs('linear', () => {
    checkArguments('linear', 'tensor', { x, weight });
    checkArguments('linear', 'tensor?', { bias });
    checkOptions('linear', options, ['dtype']);
    checkFloat('linear', options.dtype);
    if (x.rank < 1 || weight.rank !== 2 || !dimsEqual(x.shape.at(-1)!, weight.shape[1]!))
      throw new ShapeError(
        `linear: takes x [..., In] and a weight [Out, In], got ${formatShape(x.shape)} and ${formatShape(weight.shape)}`,
      );
    if (bias && !shapesEqual(bias.shape, [weight.shape[0]!]))
      throw new ShapeError(`linear: the bias must be [${weight.shape[0]}], got ${formatShape(bias.shape)}`);
    const y = matmul(x, weight, { transposeB: true, ...options });
    return bias ? y.add(bias) : y;
  });
}

/** What `crossEntropy` counts. */
export interface CrossEntropyOptions {
  /** Tokens with this target do not count; -100 by default. */
  readonly ignoreIndex?: number;
  /** Part of the target that is spread evenly over all classes; 0 by default. */
  readonly labelSmoothing?: number;
}

/**
 * Mean over the tokens of minus the log-probability of the target; with label smoothing, of minus the mean of the
 * log-probabilities, the target's weighing 1 - labelSmoothing more than each other's.
 *
 * `logits` is `[..., V]`, `targets` i32 `[...]`; tokens whose target is `ignoreIndex` do not count, and change nothing,
 * whatever their logits are. Computed in f32; NaN where no token counts, with gradients of 0, as in PyTorch. Any other target
 * outside of the classes, such as -1, is an error: it makes the loss NaN, and debug mode says which it is.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function crossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): Tensor {
  return calledAs('crossEntropy', () => {
    checkArguments('crossEntropy', 'tensor', { logits, targets });
    checkOptions('crossEntropy', options, { ignoreIndex: 'number?', labelSmoothing: 'number?' });
    const { ignoreIndex = -100, labelSmoothing = 0 } = options;
    checkLoss('crossEntropy', ignoreIndex, labelSmoothing);
    if (logits.rank < 1 || !shapesEqual(targets.shape, logits.shape.slice(0, -1)))
      throw new ShapeError(
        `crossEntropy: takes logits [..., V] and targets [...], got ${formatShape(logits.shape)} and ${formatShape(targets.shape)}`,
      );
    if (!isFloat(logits.dtype) || targets.dtype !== 'i32')
      throw new DTypeError(
        `crossEntropy: takes f32 or f16 logits and i32 targets, got ${logits.dtype} and ${targets.dtype}`,
      );
    const classes = logits.shape.at(-1)!;
    const own = reshape(bounded('crossEntropy', targets, classes, ignoreIndex), [sizeOf(targets.shape)]);
    const rows = reshape(cast(logits, 'f32'), [sizeOf(targets.shape), classes]);
    return meanLoss(crossEntropyRows(rows, own, { ignoreIndex, labelSmoothing }).sum(), own, ignoreIndex);
  });
}
