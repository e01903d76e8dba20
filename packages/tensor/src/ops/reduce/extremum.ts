import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { type Dim, subtractDims } from '../../dim.ts';
import { type DType, isFloat } from '../../dtype.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type GradientContext, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, normalizeAxis, type TensorType } from '../../shape.ts';
import { arange, sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { isNan, or } from '../elementwise/comparison.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from '../movement/movement.ts';
import {
  type Axes,
  defineReduction,
  type ReduceAttributes,
  type ReduceOptions,
  reduce,
  restore,
  sum,
} from './reduce.ts';

const maxOp: Op<ReduceAttributes> = defineReduction({
  name: 'max',
  identity: (dtype) => (dtype === 'u32' ? 0 : dtype === 'i32' ? -2147483648 : -Infinity),
  combine: Math.max,
  onnx: keepingNaN('ReduceMax'),
  webgpu: {
    identity: 'lowest',
    combine: (a, b, type, prelude) => `${type === 'f32' ? prelude.safe_max : 'max'}(${a}, ${b})`,
  },
  gradient: (context) => extremumGradient(context, max),
});

const minOp: Op<ReduceAttributes> = defineReduction({
  name: 'min',
  identity: (dtype) => (dtype === 'u32' ? 2 ** 32 - 1 : dtype === 'i32' ? 2 ** 31 - 1 : Infinity),
  combine: Math.min,
  onnx: keepingNaN('ReduceMin'),
  webgpu: {
    identity: 'highest',
    combine: (a, b, type, prelude) => `${type === 'f32' ? prelude.safe_min : 'min'}(${a}, ${b})`,
  },
  gradient: (context) => extremumGradient(context, min),
});

/** The runtime's largest and smallest pass over what is not a number; a sum says where there was any. */
function keepingNaN(type: string) {
  return (builder: OnnxBuilder, x: string, axes: string, keepdims: number, { dtype, shape }: TensorType): string => {
    const attributes = { keepdims, noop_with_empty_axes: 1 };
    const extremum = builder.op(type, [x, axes], { attributes });
    if (!isFloat(dtype) || shape.includes(0)) return extremum;
    // a sum of what is clipped to [-1, 1] is NaN where one of its terms is, and never else
    const wide = dtype === 'f16' ? builder.cast(x, 'f32') : x;
    const clipped = builder.op('Clip', [wide, builder.constant('f32', [], [-1]), builder.constant('f32', [], [1])]);
    const hit = builder.op('IsNaN', [builder.op('ReduceSum', [clipped, axes], { attributes })]);
    return builder.op('Where', [hit, builder.constant(dtype, [], [Number.NaN]), extremum]);
  };
}

/**
 * Values that share the maximum share its gradient, those that are not a number where there are any. In f32: f16 does not
 * count beyond 65504, and a kernel that goes on computing has not rounded yet what another one has stored.
 */
function extremumGradient(
  { inputs: [x], outputs: [y], outputGradients: [g], attributes }: GradientContext<ReduceAttributes>,
  extremum: typeof max,
): readonly Tensor[] {
  const wide = cast(x!, 'f32');
  const most =
    x!.dtype === 'f32' ? restore(y!, x!.shape, attributes) : extremum(wide, attributes.axes, { keepDims: true });
  const hit = cast(or(wide.equal(most), isNan(wide)), 'f32');
  const count = sum(hit, attributes.axes, { keepDims: true });
  return [cast(hit.mul(restore(g!, x!.shape, attributes).div(count)), x!.dtype)];
}

/**
 * Largest value over `axes` (all where none are named); NaN where one of them is NaN, -Infinity or the least integer over
 * none.
 * @throws ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that it does not have
 */
export function max(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkArguments('max', 'tensor', { x });
  checkOptions('max', options, { keepDims: 'boolean?' });
  return reduce(maxOp, x, axes, options);
}

/**
 * Smallest value over `axes` (all where none are named); NaN where one of them is NaN, Infinity or the largest integer over
 * none.
 * @throws ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that it does not have
 */
export function min(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkArguments('min', 'tensor', { x });
  checkOptions('min', options, { keepDims: 'boolean?' });
  return reduce(minOp, x, axes, options);
}

function defineArgument(name: 'argmax' | 'argmin', extremum: typeof max): Op<{ readonly axis: number }> {
  return defineOp({
    name,
    shape([x], { axis }) {
      if (x!.dtype === 'bool') throw new DTypeError(`${name}: takes numbers, got bool; cast it`);
      if (x!.shape[axis] === 0) throw new ShapeError(`${name}: axis ${axis} of ${formatShape(x!.shape)} has no values`);
      return [{ shape: x!.shape.filter((_, i) => i !== axis), dtype: 'i32' }];
    },
    gradient: () => [undefined],
    decompose([x], { axis }) {
      const size: Dim = x!.shape[axis]!;
      const index = reshape(
        arange(x!.device, size),
        x!.shape.map((_, i) => (i === axis ? size : 1)),
      );
      const wide = isFloat(x!.dtype) ? cast(x!, 'f32') : x!; // of f16 one kernel may have rounded what another has not
      const equal = wide.equal(extremum(wide, axis, { keepDims: true }));
      // nothing equals an extremum that is not a number
      const hit = isFloat(x!.dtype) ? or(equal, isNan(x!)) : equal;
      return [min(where(hit, index, sizeScalar(x!.device, subtractDims(size, 1), 'i32')), axis)];
    },
    lower: {
      onnx: {
        // the runtime has no kernel for u32
        supports: ({ inputs: [x] }) => x!.dtype !== 'u32',
        emit(builder, [x], { inputs: [input], attributes: { axis } }) {
          const [type, key] =
            name === 'argmax'
              ? ['ArgMax', keyOf(builder, x!, input!.dtype, 'largest')]
              : ['ArgMin', keyOf(builder, x!, input!.dtype, 'smallest')];
          return builder.cast(builder.op(type!, [key!], { attributes: { axis, keepdims: 0 } }), 'i32');
        },
      },
    },
  });
}

/** Values in the same order for the runtime, which finds no order where there is NaN: as float64, with NaN at one end. */
export function keyOf(builder: OnnxBuilder, x: string, dtype: DType, place: 'largest' | 'smallest'): string {
  if (!isFloat(dtype)) return x;
  const [end, beyond] = place === 'largest' ? [1e39, 1e40] : [-1e39, -1e40];
  const wide = builder.cast(x, 'f64');
  const clamped = builder.op(place === 'largest' ? 'Min' : 'Max', [wide, builder.constant('f64', [], [end])]);
  return builder.op('Where', [builder.op('IsNaN', [x]), builder.constant('f64', [], [beyond]), clamped]);
}

const argmaxOp: Op<{ readonly axis: number }> = defineArgument('argmax', max);
const argminOp: Op<{ readonly axis: number }> = defineArgument('argmin', min);

/** Index (i32) of the first largest value along `axis`, of the first NaN where there is one. @throws ShapeError where there is no value */
export function argmax(x: Tensor, axis: number): Tensor {
  checkArguments('argmax', 'tensor', { x });
  return recordOne(argmaxOp, [x], { axis: normalizeAxis('argmax', axis, x.rank) });
}

/**
 * Index (i32) of the first smallest value along `axis`, otherwise as `argmax`.
 * @throws ShapeError for an axis that is not there, and where there is no value
 */
export function argmin(x: Tensor, axis: number): Tensor {
  checkArguments('argmin', 'tensor', { x });
  return recordOne(argminOp, [x], { axis: normalizeAxis('argmin', axis, x.rank) });
}
