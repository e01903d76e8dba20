import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { DTypeError } from '../../checks/errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxis, sizeOf } from '../../shape.ts';
import { arange, full } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from '../movement/movement.ts';
import { cumsumWebGpu } from './cumsum.wgsl.ts';
import { countable, sum } from './reduce.ts';

export interface CumsumAttributes {
  readonly axis: number;
  readonly exclusive: boolean;
  readonly reverse: boolean;
}

const cumsumOp: Op<CumsumAttributes> = defineOp({
  name: 'cumsum',
  shape([x]) {
    if (x!.dtype === 'bool' || x!.dtype === 'f16')
      throw new DTypeError(`cumsum: takes f32, i32 or u32 inside, got ${x!.dtype}`);
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  gradient: ({ outputGradients: [g], attributes }) => [
    recordOne(cumsumOp, [g!], { ...attributes, reverse: !attributes.reverse }),
  ],
  // each result from all values: with two axes instead of one, of which the second is summed where it comes first
  decompose([x], { axis, exclusive, reverse }) {
    const { device, shape } = x!;
    const size = shape[axis]!;
    const [front, back] = [shape.slice(0, axis), shape.slice(axis + 1)];
    const ones = back.map(() => 1);
    const to = reshape(arange(device, size), [size, 1, ...ones]);
    const from = reshape(arange(device, size), [1, size, ...ones]);
    const [early, late] = reverse ? [to, from] : [from, to];
    const counts = exclusive ? early.less(late) : early.lessEqual(late);
    return [sum(where(counts, reshape(x!, [...front, 1, size, ...back]), full(device, [], 0, x!.dtype)), axis + 1)];
  },
  lower: {
    reference: {
      run({ inputs: [x], attributes: { axis, exclusive, reverse } }) {
        const { shape, data } = x!;
        const inner = sizeOf(shape.slice(axis + 1));
        const size = shape[axis]!;
        const result = new Float64Array(data.length);
        for (let start = 0; start < data.length; start += size * inner)
          for (let i = 0; i < inner; i++) {
            let total = 0;
            for (let step = 0; step < size; step++) {
              const place = start + (reverse ? size - 1 - step : step) * inner + i;
              result[place] = exclusive ? total : total + data[place]!;
              total += data[place]!;
            }
          }
        return [result];
      },
    },
    onnx: {
      emit(builder, [x], { outputs: [out], attributes: { axis, exclusive, reverse } }) {
        const attributes = { exclusive: Number(exclusive), reverse: Number(reverse) };
        // the runtime adds up no u32
        const wide = out!.dtype === 'u32' ? builder.cast(x!, 'i64') : x!;
        const sums = builder.op('CumSum', [wide, builder.constant('i64', [], [axis])], { attributes });
        return out!.dtype === 'u32' ? builder.cast(sums, 'u32') : sums;
      },
    },
    webgpu: cumsumWebGpu,
  },
});

/**
 * Sums of the values along `axis` up to each place, with the value there or (`exclusive`) without it, from the first value or
 * (`reverse`) from the last. f16 is added in f32, bool in i32.
 * @throws ShapeError for an axis that is not there; ArgumentError for an option that it does not have
 */
export function cumsum(
  x: Tensor,
  axis: number,
  options: { readonly exclusive?: boolean; readonly reverse?: boolean } = {},
): Tensor {
  checkArguments('cumsum', 'tensor', { x });
  checkOptions('cumsum', options, { exclusive: 'boolean?', reverse: 'boolean?' });
  const { exclusive = false, reverse = false } = options;
  const attributes = { axis: normalizeAxis('cumsum', axis, x.rank), exclusive, reverse };
  const wide = x.dtype === 'f16' ? cast(x, 'f32') : countable(x);
  return cast(recordOne(cumsumOp, [wide], attributes), x.dtype === 'bool' ? 'i32' : x.dtype);
}
