import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { shiftRight } from '../elementwise/bitwise.ts';
import { cast } from '../elementwise/cast.ts';
import { polynomial } from '../elementwise/polynomial.ts';
import { where } from '../elementwise/where.ts';
import { argmax } from '../reduce/extremum.ts';
import { type RandomKey, randomBits } from './random.ts';

/**
 * Classes drawn with the probabilities that the softmax of logits `[..., V]` gives them: i32 `[...]`, one draw for each row, as
 * a function of `key` and the row's place (the largest of the logits with Gumbel noise, https://arxiv.org/abs/1611.01144). What
 * is -Infinity is not drawn where anything else is there. Draws are made where the logits are: a model's next token stays on
 * the device. Executors agree but where two noisy logits are equal within their rounding.
 * @throws DTypeError for logits that are no floats, and for a key that is neither a number nor u32 `[2]`; ShapeError for a scalar
 */
export function randomCategorical(logits: Tensor, key: RandomKey): Tensor {
  return calledAs('randomCategorical', () => {
    checkArguments('randomCategorical', 'tensor', { logits });
    if (!isFloat(logits.dtype))
      throw new DTypeError(`randomCategorical: logits must be f32 or f16, got ${logits.dtype}`);
    if (logits.rank === 0) throw new ShapeError('randomCategorical: takes logits [..., V], got a scalar');
    // an odd multiple of 2^-24 between 0 and 1
    const v = cast(shiftRight(randomBits(logits.device, logits.shape, key), 9), 'f32')
      .mul(2)
      .add(1)
      .mul(2 ** -24);
    return argmax(cast(logits, 'f32').sub(exponential(v).log()), -1);
  });
}

/** -log(1 - v): the least of these decide, and some executors' logarithm is coarse near 1. */
function exponential(v: Tensor): Tensor {
  const series = polynomial(v, [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5, 1 / 6, 1 / 7, 1 / 8]).mul(v);
  return where(v.less(1 / 8), series, v.neg().add(1).log().neg());
}
