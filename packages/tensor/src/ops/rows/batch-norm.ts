import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { dimsEqual } from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { reshape } from '../movement/movement.ts';
import { mean } from '../reduce/reduce.ts';
import { scaledSquares, squareScale } from './square-scale.ts';

/** What `batchNorm` normalises by, and what follows. Each tensor is `[C]`. */
export interface BatchNormOptions {
  readonly weight?: Tensor;
  readonly bias?: Tensor;
  /** Mean and variance of each channel that were kept from training; without them those of `x` itself. */
  readonly runningMean?: Tensor;
  readonly runningVariance?: Tensor;
  /** Added to the variance; 1e-5 by default. */
  readonly epsilon?: number;
}

/**
 * Normalisation of each channel over the batch and all places: (x - mean) / sqrt(variance + epsilon), times `weight` and plus
 * `bias` where there are any; computed in f32. `x` is `[N, C, ...]`; the result has its dtype. In training the statistics are
 * those of `x`, `mean(x, [0, 2, ...])` and `variance` of the same, which a variable can follow; otherwise give `runningMean`
 * and `runningVariance`. Source: https://arxiv.org/abs/1502.03167
 * @throws ShapeError, DTypeError; ArgumentError where only one of the running statistics is given
 */
export function batchNorm(x: Tensor, options: BatchNormOptions = {}): Tensor {
  return calledAs('batchNorm', () => {
    checkArguments('batchNorm', 'tensor', { x });
    checkOptions('batchNorm', options, {
      weight: 'tensor?',
      bias: 'tensor?',
      runningMean: 'tensor?',
      runningVariance: 'tensor?',
      epsilon: 'number?',
    });
    const { weight, bias, runningMean, runningVariance, epsilon = 1e-5 } = options;
    if (!isFloat(x.dtype)) throw new DTypeError(`batchNorm: takes f32 or f16, got ${x.dtype}`);
    const channels = x.shape[1];
    if (channels === undefined) throw new ShapeError(`batchNorm: takes [N, C, ...], got ${formatShape(x.shape)}`);
    if ((runningMean === undefined) !== (runningVariance === undefined))
      throw new ArgumentError('batchNorm: takes runningMean and runningVariance, or neither');
    const perChannel = (name: string, given: Tensor): Tensor => {
      if (given.rank !== 1 || !dimsEqual(given.shape[0]!, channels))
        throw new ShapeError(`batchNorm: ${name} must be [${channels}], got ${formatShape(given.shape)}`);
      return reshape(given, [channels, ...x.shape.slice(2).map(() => 1)]);
    };
    const wide = cast(x, 'f32');
    const axes = x.shape.flatMap((_, axis) => (axis === 1 ? [] : [axis]));
    const centre = runningMean ? perChannel('runningMean', runningMean) : mean(wide, axes, { keepDims: true });
    const distance = wide.sub(centre);
    const scale = runningVariance ? 1 : squareScale(epsilon);
    const spread = runningVariance
      ? perChannel('runningVariance', runningVariance)
      : mean(scaledSquares(distance, epsilon), axes, { keepDims: true });
    const inverse = spread.add(epsilon * scale).rsqrt();
    const unit = distance.mul(scale === 1 ? inverse : inverse.mul(Math.sqrt(scale)));
    const scaled = weight ? unit.mul(perChannel('weight', weight)) : unit;
    return cast(bias ? scaled.add(perChannel('bias', bias)) : scaled, x.dtype);
  });
}
