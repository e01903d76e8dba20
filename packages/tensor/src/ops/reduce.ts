import { type Dim, dimsEqual } from '../dim.ts';
import { DTypeError, ShapeError } from '../errors.ts';
import type { ReferenceContext } from '../executors/reference/lowering.ts';
import { defineOp, type GradientContext, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { formatShape, normalizeAxes, normalizeAxis, type Shape, sizeOf, stridesOf, type TensorType } from '../shape.ts';
import { cast } from './cast.ts';
import { arange, sizeScalar } from './creation.ts';
import { where } from './elementwise.ts';
import { reshape } from './movement.ts';

export interface ReduceAttributes {
  /** Ascending, counted from the front. */
  readonly axes: readonly number[];
  readonly keepDims: boolean;
}
type Axes = number | readonly number[];
interface ReduceOptions {
  readonly keepDims?: boolean;
}

export const reducedShape = (shape: Shape, { axes, keepDims }: ReduceAttributes): Shape =>
  keepDims ? shape.map((dim, i) => (axes.includes(i) ? 1 : dim)) : shape.filter((_, i) => !axes.includes(i));

function defineReduction(row: {
  readonly name: string;
  readonly identity: (dtype: TensorType['dtype']) => number;
  combine(a: number, b: number): number;
  readonly onnx: string;
  readonly webgpu: { readonly identity: string; combine(a: string, b: string): string };
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
      reference: { run: (context) => [reduceReference(context, row.identity(context.outputs[0]!.dtype), row.combine)] },
      onnx: {
        emit(builder, [x], { outputs: [out], attributes: { axes, keepDims } }) {
          const inputs = [x!, builder.constant('i64', [axes.length], axes)];
          const attributes = { keepdims: Number(keepDims), noop_with_empty_axes: 1 };
          if (out!.dtype !== 'u32') return builder.op(row.onnx, inputs, { attributes });
          // the runtime reduces no u32
          const wide = builder.op(row.onnx, [builder.cast(x!, 'i64'), inputs[1]!], { attributes });
          return builder.cast(wide, 'u32');
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
function restore(y: Tensor, shape: Shape, { axes }: ReduceAttributes): Tensor {
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

const maxOp: Op<ReduceAttributes> = defineReduction({
  name: 'max',
  identity: (dtype) => (dtype === 'u32' ? 0 : dtype === 'i32' ? -2147483648 : -Infinity),
  combine: Math.max,
  onnx: 'ReduceMax',
  webgpu: { identity: 'lowest', combine: (a, b) => `max(${a}, ${b})` },
  gradient: extremumGradient,
});

const minOp: Op<ReduceAttributes> = defineReduction({
  name: 'min',
  identity: (dtype) => (dtype === 'u32' ? 2 ** 32 - 1 : dtype === 'i32' ? 2 ** 31 - 1 : Infinity),
  combine: Math.min,
  onnx: 'ReduceMin',
  webgpu: { identity: 'highest', combine: (a, b) => `min(${a}, ${b})` },
  gradient: extremumGradient,
});

/** Values that share the maximum share its gradient. */
function extremumGradient({
  inputs: [x],
  outputs: [y],
  outputGradients: [g],
  attributes,
}: GradientContext<ReduceAttributes>): readonly Tensor[] {
  const hit = cast(x!.equal(restore(y!, x!.shape, attributes)), x!.dtype);
  const count = sum(hit, attributes.axes, { keepDims: true });
  return [hit.mul(restore(g!, x!.shape, attributes).div(count))];
}

const prodOp: Op<ReduceAttributes> = defineReduction({
  name: 'prod',
  identity: () => 1,
  combine: (a, b) => a * b,
  onnx: 'ReduceProd',
  webgpu: { identity: '1', combine: (a, b) => `${a} * ${b}` },
  // the product of the others: by division where nothing is 0, and of what is not 0 by the one value that is
  gradient({ inputs: [x], outputGradients: [g], attributes }) {
    const isZero = x!.equal(0);
    const filled = where(isZero, 1, x!);
    const zeros = sum(cast(isZero, x!.dtype), attributes.axes, { keepDims: true });
    const rest = prod(filled, attributes.axes, { keepDims: true });
    const others = where(isZero, where(zeros.equal(1), rest, 0), where(zeros.equal(0), rest.div(filled), 0));
    return [others.mul(restore(g!, x!.shape, attributes))];
  },
});

function reduce(
  op: Op<ReduceAttributes>,
  x: Tensor,
  axes: Axes | undefined,
  { keepDims = false }: ReduceOptions,
): Tensor {
  const list = normalizeAxes(op.name, axes, x.rank);
  return list.length === 0 ? x : recordOne(op, [x], { axes: list, keepDims });
}

/** Sum over `axes` (all where none are named). */
export function sum(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce(sumOp, x, axes, options);
}

/** Largest value over `axes` (all where none are named). */
export function max(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce(maxOp, x, axes, options);
}

/** Smallest value over `axes` (all where none are named). */
export function min(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce(minOp, x, axes, options);
}

/** Product over `axes` (all where none are named). */
export function prod(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  return reduce(prodOp, x, axes, options);
}

/** Arithmetic mean over `axes` (all where none are named). */
export function mean(x: Tensor, axes?: Axes, options: ReduceOptions = {}): Tensor {
  const count = sizeOf(normalizeAxes('mean', axes, x.rank).map((axis) => x.shape[axis]!));
  return sum(x, axes, options).div(sizeScalar(x.device, count, x.dtype));
}

/** Sums a gradient over the axes along which a value of `shape` was broadcast. @throws ShapeError where it cannot have been */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const extra = x.rank - shape.length;
  if (extra < 0) throw new ShapeError(`sumTo: ${formatShape(x.shape)} has fewer axes than ${formatShape(shape)}`);
  const axes = x.shape.flatMap((dim, i) => (i < extra || (shape[i - extra] === 1 && !dimsEqual(dim, 1)) ? [i] : []));
  return axes.length === 0 ? x : reshape(sum(x, axes), shape);
}

function defineArgument(name: string, extremum: typeof max, onnx: string): Op<{ readonly axis: number }> {
  return defineOp({
    name,
    shape([x], { axis }) {
      if (x!.dtype === 'bool') throw new DTypeError(`${name}: takes numbers, got bool; cast it`);
      return [{ shape: x!.shape.filter((_, i) => i !== axis), dtype: 'i32' }];
    },
    gradient: () => [undefined],
    decompose([x], { axis }) {
      const size: Dim = x!.shape[axis]!;
      const index = reshape(
        arange(x!.device, size),
        x!.shape.map((_, i) => (i === axis ? size : 1)),
      );
      const hit = x!.equal(extremum(x!, axis, { keepDims: true }));
      return [min(where(hit, index, sizeScalar(x!.device, size, 'i32')), axis)];
    },
    lower: {
      onnx: {
        // the runtime has no kernel for u32
        supports: ({ inputs: [x] }) => x!.dtype !== 'u32',
        emit: (builder, [x], { attributes: { axis } }) =>
          builder.cast(builder.op(onnx, [x!], { attributes: { axis, keepdims: 0 } }), 'i32'),
      },
    },
  });
}

const argmaxOp: Op<{ readonly axis: number }> = defineArgument('argmax', max, 'ArgMax');
const argminOp: Op<{ readonly axis: number }> = defineArgument('argmin', min, 'ArgMin');

/** Index (i32) of the first largest value along `axis`. */
export function argmax(x: Tensor, axis: number): Tensor {
  return recordOne(argmaxOp, [x], { axis: normalizeAxis('argmax', axis, x.rank) });
}

/** Index (i32) of the first smallest value along `axis`. */
export function argmin(x: Tensor, axis: number): Tensor {
  return recordOne(argminOp, [x], { axis: normalizeAxis('argmin', axis, x.rank) });
}
