import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, shapesEqual, sizeOf } from '../../shape.ts';
import { sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { takeAlongAxis } from '../indexing/indexing.ts';
import { sort } from '../indexing/sort.ts';
import { reshape } from '../movement/movement.ts';
import { cumsum } from './cumsum.ts';
import { massThresholdWebGpu } from './mass-threshold.wgsl.ts';
import { sum } from './reduce.ts';

const massThresholdOp: Op<null> = defineOp({
  name: 'massThreshold',
  shape([values, weights, mass]) {
    if ([values, weights, mass].some((x) => x!.dtype !== 'f32'))
      throw new DTypeError(
        `massThreshold: takes f32, got ${values!.dtype}, ${weights!.dtype} and a mass of ${mass!.dtype}`,
      );
    const { shape } = values!;
    if (
      shape.length === 0 ||
      shape.at(-1) === 0 ||
      !shapesEqual(shape, weights!.shape) ||
      !shapesEqual(shape.slice(0, -1), mass!.shape)
    )
      throw new ShapeError(
        `massThreshold: takes values and weights [..., V] of at least one value and a mass [...], got ${formatShape(shape)}, ${formatShape(weights!.shape)} and ${formatShape(mass!.shape)}`,
      );
    return [{ shape: mass!.shape, dtype: 'f32' }];
  },
  gradient: () => [undefined, undefined, undefined],
  // in order of values, the first whose weights up to there are enough
  decompose([values, weights, mass]) {
    const size = values!.shape.at(-1)!;
    const { values: sorted, indices } = sort(values!, -1, { descending: true });
    const column = [...mass!.shape, 1];
    const before = cumsum(takeAlongAxis(weights!, indices, -1), -1).less(reshape(mass!, column));
    const last = sizeScalar(values!.device, size, 'i32').sub(1);
    const place = sum(cast(before, 'i32'), -1, { keepDims: true }).minimum(last);
    return [reshape(takeAlongAxis(sorted, place, -1), mass!.shape)];
  },
  lower: {
    reference: {
      run({ inputs: [values, weights, mass] }) {
        const size = values!.shape.at(-1)!;
        const result = new Float64Array(sizeOf(mass!.shape));
        for (let row = 0; row < result.length; row++) {
          const x = values!.data.subarray(row * size, (row + 1) * size);
          const order = Uint32Array.from(x.keys()).sort((a, b) => x[b]! - x[a]!);
          let total = 0;
          let place = 0;
          for (; place < size - 1; place++) {
            total += weights!.data[row * size + order[place]!]!;
            if (total >= mass!.data[row]!) break;
          }
          result[row] = x[order[place]!]!;
        }
        return [result];
      },
    },
    webgpu: massThresholdWebGpu,
  },
});

/**
 * The largest value of each row `[..., V]` such that those not below it weigh at least `mass`; the least one where all together
 * weigh less. With weights of 1 it is the k-th largest value, with probabilities the threshold of top-p. Exact but for the rounding
 * of the sums, at any V; equal values are taken together. A GPU narrows an interval of values down to one instead of sorting.
 * @param values f32 `[..., V]`; -Infinity may be among them, NaN gives some value
 * @param weights f32 `[..., V]`, not negative
 * @param mass f32 `[...]`
 * @returns f32 `[...]`, values of the rows
 * @throws DTypeError, ShapeError
 */
export function massThreshold(values: Tensor, weights: Tensor, mass: Tensor): Tensor {
  checkArguments('massThreshold', 'tensor', { values, weights, mass });
  return recordOne(massThresholdOp, [values, weights, mass], null);
}
