import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { softplus } from './activation.ts';
import { cast } from './cast.ts';
import { expm1 } from './exponential.ts';
import { where } from './where.ts';

/** `x` in f32, and the result back in its dtype: f16 is rounded once. */
function widely(name: string, x: Tensor, f: (wide: Tensor) => Tensor): Tensor {
  if (!isFloat(x.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got ${x.dtype}`);
  return cast(f(cast(x, 'f32')), x.dtype);
}

/**
 * `x` where it is above 0, elsewhere `x` times `negativeSlope`, which is the gradient at 0 too. f32 or f16.
 * @throws DTypeError for others; ArgumentError where the slope is no number
 */
export function leakyRelu(x: Tensor, negativeSlope = 0.01): Tensor {
  return calledAs('leakyRelu', () => {
    checkArguments('leakyRelu', 'tensor', { x });
    if (!Number.isFinite(negativeSlope))
      throw new ArgumentError(`leakyRelu: negativeSlope must be a number, got ${negativeSlope}`);
    return widely('leakyRelu', x, (wide) => where(wide.greater(0), wide, wide.mul(negativeSlope)));
  });
}

/**
 * `x` where it is above 0, elsewhere `alpha` times exp(x) - 1. f32 or f16. Source: https://arxiv.org/abs/1511.07289
 * @throws DTypeError for others; ArgumentError where alpha is no number
 */
export function elu(x: Tensor, alpha = 1): Tensor {
  return calledAs('elu', () => {
    checkArguments('elu', 'tensor', { x });
    if (!Number.isFinite(alpha)) throw new ArgumentError(`elu: alpha must be a number, got ${alpha}`);
    return widely('elu', x, (wide) => {
      const isAbove = wide.greater(0);
      return where(isAbove, wide, expm1(where(isAbove, 0, wide)).mul(alpha));
    });
  });
}

/** The nearest value from 0 to 6; its gradient is 0 at both ends. f32 or f16. @throws DTypeError for others */
export function relu6(x: Tensor): Tensor {
  return calledAs('relu6', () => {
    checkArguments('relu6', 'tensor', { x });
    return widely('relu6', x, (wide) => where(wide.lessEqual(0), 0, where(wide.greaterEqual(6), 6, wide)));
  });
}

/** x * tanh(softplus(x)). f32 or f16. Source: https://arxiv.org/abs/1908.08681 @throws DTypeError for others */
export function mish(x: Tensor): Tensor {
  return calledAs('mish', () => {
    checkArguments('mish', 'tensor', { x });
    // an infinity times 0 is no number, here and in gradients: far out the gate is flat
    return widely('mish', x, (wide) => wide.maximum(-1000).mul(softplus(wide.maximum(-1000).minimum(1000)).tanh()));
  });
}
