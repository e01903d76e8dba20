import { calledAs } from '../checks/called-as.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import { isFloat } from '../dtype.ts';
import type { Tensor } from '../graph/tensor.ts';
import { broadcastShapes, formatShape, shapesEqual } from '../shape.ts';
import { softplus } from './elementwise/activation.ts';
import { cast } from './elementwise/cast.ts';
import { where } from './elementwise/where.ts';

/** What becomes of the losses of single values: their mean (the default), their sum, or themselves. */
export interface LossOptions {
  readonly reduction?: 'mean' | 'sum' | 'none';
}

/** Losses of single values in f32, and what is made of them. Both operands have one shape. */
function lossOf(
  name: string,
  x: Tensor,
  target: Tensor,
  { reduction = 'mean' }: LossOptions,
  each: (x: Tensor, target: Tensor) => Tensor,
): Tensor {
  if (!isFloat(x.dtype) || !isFloat(target.dtype))
    throw new DTypeError(`${name}: takes f32 or f16, got ${x.dtype} and ${target.dtype}`);
  if (!shapesEqual(x.shape, target.shape))
    throw new ShapeError(
      `${name}: both operands must have one shape, got ${formatShape(x.shape)} and ${formatShape(target.shape)}`,
    );
  if (reduction !== 'mean' && reduction !== 'sum' && reduction !== 'none')
    throw new ArgumentError(`${name}: reduction must be mean, sum or none, got ${String(reduction)}`);
  const losses = each(cast(x, 'f32'), cast(target, 'f32'));
  return reduction === 'none' ? losses : reduction === 'sum' ? losses.sum() : losses.mean();
}

/** Mean of the squared differences. f32 or f16 of one shape; the result is f32. @throws ShapeError, DTypeError, ArgumentError */
export function mseLoss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return calledAs('mseLoss', () => {
    checkArguments('mseLoss', 'tensor', { x, target });
    checkOptions('mseLoss', options, ['reduction']);
    return lossOf('mseLoss', x, target, options, (a, b) => {
      const distance = a.sub(b);
      return distance.mul(distance);
    });
  });
}

/** Mean of the sizes of the differences; otherwise as `mseLoss`. @throws ShapeError, DTypeError, ArgumentError */
export function l1Loss(x: Tensor, target: Tensor, options: LossOptions = {}): Tensor {
  return calledAs('l1Loss', () => {
    checkArguments('l1Loss', 'tensor', { x, target });
    checkOptions('l1Loss', options, ['reduction']);
    return lossOf('l1Loss', x, target, options, (a, b) => a.sub(b).abs());
  });
}

/**
 * Half of the squared difference where that is no larger than `delta` (1 by default), beyond it delta times the rest of its size;
 * otherwise as `mseLoss`.
 * @throws ShapeError, DTypeError; ArgumentError for a delta that is not positive
 */
export function huberLoss(x: Tensor, target: Tensor, options: LossOptions & { readonly delta?: number } = {}): Tensor {
  return calledAs('huberLoss', () => {
    checkArguments('huberLoss', 'tensor', { x, target });
    checkOptions('huberLoss', options, { reduction: 'anything', delta: 'number?' });
    const { delta = 1 } = options;
    if (!(delta > 0 && delta < Number.POSITIVE_INFINITY))
      throw new ArgumentError(`huberLoss: delta must be a positive number, got ${delta}`);
    return lossOf('huberLoss', x, target, options, (a, b) => {
      const size = a.sub(b).abs();
      // squared only where it is small: the rest may have no square
      const near = size.minimum(delta);
      return near.mul(near).mul(0.5).add(size.sub(near).mul(delta));
    });
  });
}

/**
 * Binary cross-entropy of logits `x` and targets from 0 to 1, without overflow: the mean of minus the logarithms of the
 * probabilities. `positiveWeight` multiplies what targets of 1 count. Otherwise as `mseLoss`.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function binaryCrossEntropyWithLogits(
  x: Tensor,
  target: Tensor,
  options: LossOptions & { readonly positiveWeight?: number | Tensor } = {},
): Tensor {
  return calledAs('binaryCrossEntropyWithLogits', () => {
    checkArguments('binaryCrossEntropyWithLogits', 'tensor', { x, target });
    checkOptions('binaryCrossEntropyWithLogits', options, ['reduction', 'positiveWeight']);
    const { positiveWeight = 1 } = options;
    const name = 'binaryCrossEntropyWithLogits';
    if (typeof positiveWeight !== 'number' || Number.isNaN(positiveWeight))
      checkArguments(name, 'tensor', { positiveWeight });
    if (typeof positiveWeight !== 'number') broadcastShapes(name, [positiveWeight.shape, x.shape]);
    return lossOf(name, x, target, options, (logits, t) => {
      const positive = weighted(t, softplus(logits.neg())).mul(positiveWeight);
      const negative = weighted(t.neg().add(1), softplus(logits));
      return positive.add(negative);
    });
  });
}

/** A weight times a loss: 0 times one that is infinite counts nothing. */
function weighted(weight: Tensor, loss: Tensor): Tensor {
  const isVoid = weight.equal(0).and(loss.equal(Number.POSITIVE_INFINITY));
  return weight.mul(where(isVoid, 0, loss));
}

/**
 * Kullback-Leibler divergence of log-probabilities `x` from probabilities `target` (with `logTarget` their logarithms too): the
 * mean over all values, as in PyTorch; `reduction: 'sum'` divided by the number of rows is the divergence of a row. A target of
 * 0 counts nothing. Otherwise as `mseLoss`.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function klDiv(x: Tensor, target: Tensor, options: LossOptions & { readonly logTarget?: boolean } = {}): Tensor {
  return calledAs('klDiv', () => {
    checkArguments('klDiv', 'tensor', { x, target });
    checkOptions('klDiv', options, { reduction: 'anything', logTarget: 'boolean?' });
    return lossOf('klDiv', x, target, options, (a, b) => {
      if (options.logTarget) {
        const isNone = b.equal(Number.NEGATIVE_INFINITY);
        return where(isNone, 0, b.exp().mul(where(isNone, 0, b).sub(where(isNone, 0, a))));
      }
      const isNone = b.equal(0);
      return where(
        isNone,
        0,
        b.mul(
          where(isNone, 1, b)
            .log()
            .sub(where(isNone, 0, a)),
        ),
      );
    });
  });
}
