import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { checkHolds } from '../create/creation.ts';
import { and } from './comparison.ts';
import { unary } from './define-elementwise.ts';
import { where } from './where.ts';

function roundToEven(x: number): number {
  const low = Math.floor(x);
  const above = x - low;
  if (above === 0.5) return low % 2 === 0 ? low : low + 1;
  return above < 0.5 ? low : low + 1;
}

/** The nearest whole number, the even one of two that are equally near; its gradient is 0. f32 or f16. */
export const round: (x: Tensor) => Tensor = unary({
  name: 'round',
  takes: 'float',
  reference: (x) => (Number.isFinite(x!) ? roundToEven(x!) : x!),
  onnx: 'Round',
  webgpu: ([x]) => `round(${x})`,
});

/** The smallest whole number that is not below; its gradient is 0. f32 or f16. @throws DTypeError for others */
export const ceil: (x: Tensor) => Tensor = unary({
  name: 'ceil',
  takes: 'float',
  reference: (x) => Math.ceil(x!),
  onnx: 'Ceil',
  webgpu: ([x]) => `ceil(${x})`,
});

interface Limits {
  readonly low?: number;
  readonly high?: number;
}

const clipOp: Op<Limits> = defineOp<Limits>({
  name: 'clip',
  shape([x]) {
    if (x!.dtype === 'bool') throw new DTypeError('clip: takes numbers, got bool');
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  gradient({ inputs: [x], outputGradients: [g], attributes: { low, high } }) {
    const above = low === undefined ? undefined : x!.greaterEqual(low);
    const below = high === undefined ? undefined : x!.lessEqual(high);
    const inside = above && below ? and(above, below) : (above ?? below);
    return [inside ? where(inside, g!, 0) : g];
  },
  decompose([x], { low, high }) {
    const raised = low === undefined ? x! : x!.maximum(low);
    return [high === undefined ? raised : raised.minimum(high)];
  },
  lower: {
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit(builder, [x], { attributes: { low, high } }) {
        const limit = (value: number | undefined) => (value === undefined ? '' : builder.constant('f32', [], [value]));
        return builder.op('Clip', [x!, limit(low), limit(high)]);
      },
    },
  },
});

/**
 * The nearest value in `[low, high]`; without a limit, or with an infinite one, that side is open. The gradient is that of `x` inside and at the
 * limits, and 0 outside.
 * @throws ArgumentError where `low` is above `high`; DTypeError for bool, and limits that an integer dtype cannot hold
 */
export function clip(x: Tensor, low?: number, high?: number): Tensor {
  checkArguments('clip', 'tensor', { x });
  checkArguments('clip', 'number?', { low, high });
  if (low !== undefined && high !== undefined && !(low <= high))
    throw new ArgumentError(`clip: the lower limit must not be above the upper one, got ${low} and ${high}`);
  // an infinite limit on its own side is none, also to integers, which hold no infinity
  const limits = {
    ...(low === undefined || low === Number.NEGATIVE_INFINITY ? {} : { low }),
    ...(high === undefined || high === Number.POSITIVE_INFINITY ? {} : { high }),
  };
  for (const limit of Object.values(limits)) checkHolds('clip', x.dtype, limit);
  return recordOne(clipOp, [x], limits);
}
