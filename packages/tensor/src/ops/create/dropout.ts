import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { full } from './creation.ts';
import { type RandomKey, randomBits } from './random.ts';

/**
 * `x` with each value set to 0 with probability `rate` and the others divided by 1 - `rate`; all are 0 at rate 1. Which ones is a function of `key`
 * and the place alone, the same in the backward pass, in a recomputation and on every executor. f32 or f16.
 * @param key a number, or u32 `[2]` where it changes from run to run; see `randomKey` and `foldKey`
 * @throws ArgumentError for a rate outside [0, 1]; DTypeError for other dtypes
 */
export function dropout(x: Tensor, rate: number, key: RandomKey): Tensor {
  return calledAs('dropout', () => {
    checkArguments('dropout', 'tensor', { x });
    checkArguments('dropout', 'number', { rate });
    if (!(rate >= 0 && rate <= 1)) throw new ArgumentError(`dropout: the rate must be in [0, 1], got ${rate}`);
    if (!isFloat(x.dtype)) throw new DTypeError(`dropout: takes f32 or f16, got ${x.dtype}`);
    if (rate === 0) return x;
    if (rate === 1) return full(x.device, x.shape, 0, x.dtype);
    const kept = randomBits(x.device, x.shape, key).greaterEqual(Math.min(Math.round(rate * 2 ** 32), 2 ** 32 - 1));
    // f16 would round the factor too
    return cast(where(kept, cast(x, 'f32').mul(1 / (1 - rate)), 0), x.dtype);
  });
}
