import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type GradientContext, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { ReferenceContext } from '../../graph/reference-lowering.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';
import { normalizeAxes, type Shape, sizeOf, stridesOf, type TensorType } from '../../shape.ts';
import { sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { reshape } from '../movement/movement.ts';

export interface ReduceAttributes {
  /** Ascending, counted from the front. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}
/** Axes to reduce over, counted from the back where negative. */
export type Axes = number | readonly number[];
/** Options of `sum` and its kin. */
export interface ReduceOptions {
  /** Whether reduced axes stay, of size 1. Default false. */
  readonly keepDims?: boolean;
}

export const reducedShape = (shape: Shape, { axes, keepDims }: ReduceAttributes): Shape =>
  keepDims ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim)) : shape.filter((_, i) => !axes.includes(i));

/** Defines an operation that combines the values over axes, in any order. */
export function defineReduction(row: {
  readonly name: string;
  readonly identity: (dtype: TensorType['dtype']) => number;
  combine(a: number, b: number): number;
  /** The same for integers, where float64 does not hold what wraps around to the result. */
  readonly wrapped?: (a: number, b: number) => number;
  /** An operator of ONNX, or nodes. */
  readonly onnx:
    | string
    | ((builder: OnnxBuilder, x: string, axes: string, keepdims: number, input: TensorType) => string);
  readonly webgpu: {
    readonly identity: string;
    combine(a: string, b: string, type: 'f32' | 'i32' | 'u32', prelude: Prelude): string;
  };
  gradient(context: GradientContext<ReduceAttributes>): readonly (Tensor | undefined)[];
}): Op<ReduceAttributes> {
  return defineOp<ReduceAttributes>({
    name: row.name,
    shape([x], attributes) {
      if (x!.dtype === 'bool') throw new DTypeError(`${row.name}: takes numbers, got bool; cast it`);
      return [{ shape: reducedShape(x!.shape, attributes), dtype: x!.dtype }];
    },
    gradient: row.gradient,
    lower: {
      reference: {
        run(context) {
          const { dtype } = context.outputs[0]!;
          const combine = row.wrapped && !isFloat(dtype) ? row.wrapped : row.combine;
          return [reduceReference(context, row.identity(dtype), combine)];
        },
      },
      onnx: {
        emit(builder, [x], { inputs: [input], attributes: { axes, keepDims } }) {
          const list = builder.constant('i64', [axes.length], axes);
          const emit = (value: string) => {
            if (typeof row.onnx === 'function') return row.onnx(builder, value, list, Number(keepDims), input!);
            const attributes = { keepdims: Number(keepDims), noop_with_empty_axes: 1 };
            return builder.op(row.onnx, [value, list], { attributes });
          };
          // the runtime reduces no u32, and its sums of i32 end at the largest value instead of wrapping around
          const { dtype } = input!;
          const isWide = dtype === 'u32' || (dtype === 'i32' && typeof row.onnx === 'string');
          return isWide ? builder.cast(emit(builder.cast(x!, 'i64')), dtype) : emit(x!);
        },
      },
      webgpu: { reduce: row.webgpu },
    },
  });
}

function reduceReference(
  { inputs: [x], outputs: [out], attributes: { axes } }: ReferenceContext<ReduceAttributes>,
  identity: number,
  combine: (a: number, b: number) => number,
): Float64Array {
  const kept = x!.shape.map((dim, i) => (axes.includes(i) ? 1 : dim));
  const into = stridesOf(kept).map((stride, i) => (axes.includes(i) ? 0 : stride));
  const result = new Float64Array(sizeOf(out!.shape)).fill(identity);
  const at = new Array<number>(x!.shape.length).fill(0);
  let place = 0;
  for (const value of x!.data) {
    result[place] = combine(result[place]!, value);
    for (let axis = at.length - 1; axis >= 0; axis--) {
      at[axis]!++;
      place += into[axis]!;
      if (at[axis]! < x!.shape[axis]!) break;
      place -= at[axis]! * into[axis]!;
      at[axis] = 0;
    }
  }
  return result;
}

/** Puts back the axes that a reduction dropped, with size 1. */
export function restore(y: Tensor, shape: Shape, { axes }: ReduceAttributes): Tensor {
  return reshape(
    y,
    shape.map((dim, i) => (axes.includes(i) ? 1 : dim)),
  );
}

const sumOp: Op<ReduceAttributes> = defineReduction({
  name: 'sum',
  identity: () => 0,
  combine: (a, b) => a + b,
  onnx: 'ReduceSum',
  webgpu: { identity: '0', combine: (a, b) => `${a} + ${b}` },
  gradient: ({ inputs: [x], outputGradients: [g], attributes }) => [restore(g!, x!.shape, attributes).expand(x!.shape)],
});

/** bool as i32, to be counted. */
export const countable = (x: Tensor): Tensor => (x.dtype === 'bool' ? cast(x, 'i32') : x);

/** Records a reduction; over no axes there is nothing to do. */
export function reduce(
  op: Op<ReduceAttributes>,
  x: Tensor,
  axes: Axes | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  const list = normalizeAxes(op.name, axes, x.rank);
  return list.length === 0 ? x : recordOne(op, [x], { axes: list, keepDims });
}

/**
 * Sum over `axes` (all where none are named); of bool, how many are true, as i32.
 * @throws ShapeError for an axis that is not there, or is named twice; ArgumentError for an option that it does not have
 */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  checkArguments('sum', 'tensor', { x });
  checkOptions('sum', options, { keepDims: 'boolean?' });
  return reduce(sumOp, countable(x), axes, options);
}

/**
 * Arithmetic mean over `axes` (all where none are named), computed in f32; NaN over none. Of integers and bool it is f32, as in
 * NumPy.
 * @throws ShapeError
 */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return calledAs('mean', () => {
    checkArguments('mean', 'tensor', { x });
    checkOptions('mean', options, { keepDims: 'boolean?' });
    const count = sizeOf(normalizeAxes('mean', axes, x.rank).map((axis) => x.shape[axis]!));
    // neither the sum nor the count need fit into f16
    const total = sum(cast(x, 'f32'), axes, options).div(sizeScalar(x.device, count));
    return isFloat(x.dtype) ? cast(total, x.dtype) : total;
  });
}
