import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { addDims, type Dim } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, normalizeAxis, shapesEqual, sizeOf, sumDims, type TensorType } from '../../shape.ts';
import { arange, sizeScalar } from '../create/creation.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from './movement.ts';
import { pad, slice } from './slice.ts';

const concatOp: Op<{ readonly axis: number }> = defineOp({
  name: 'concat',
  shape(inputs, { axis }) {
    const rest = (type: TensorType) => type.shape.filter((_, i) => i !== axis);
    const first = inputs[0]!;
    for (const type of inputs) {
      if (type.shape.length !== first.shape.length || !shapesEqual(rest(type), rest(first)))
        throw new ShapeError(
          `concat: shapes must agree outside axis ${axis}, got ${inputs.map((i) => formatShape(i.shape)).join(' and ')}`,
        );
      if (type.dtype !== first.dtype)
        throw new DTypeError(`concat: inputs must be of one dtype, got ${first.dtype} and ${type.dtype}`);
    }
    const length = sumDims(inputs.map((type) => type.shape[axis]!));
    return [{ shape: first.shape.map((dim, i) => (i === axis ? length : dim)), dtype: first.dtype }];
  },
  // many by halves, for executors that cannot take so many at once
  decompose(inputs, { axis }) {
    const half = Math.ceil(inputs.length / 2);
    if (inputs.length > 2)
      return [concat([concat(inputs.slice(0, half), axis), concat(inputs.slice(half), axis)], axis)];
    return [joinTwo(inputs[0]!, inputs[1]!, axis)];
  },
  gradient({ inputs, outputGradients: [g], attributes: { axis } }) {
    let start: Dim = 0;
    return inputs.map((input) => {
      const end = addDims(start, input.shape[axis]!);
      const part = slice(g!, axis, start, end);
      start = end;
      return part;
    });
  },
  lower: {
    reference: {
      run({ inputs, outputs: [out], attributes: { axis } }) {
        const result = new Float64Array(sizeOf(out!.shape));
        const inner = sizeOf(out!.shape.slice(axis + 1));
        const row = out!.shape[axis]! * inner;
        let offset = 0;
        for (const { shape, data } of inputs) {
          const part = shape[axis]! * inner;
          for (let i = 0; i * part < data.length; i++)
            result.set(data.subarray(i * part, (i + 1) * part), i * row + offset);
          offset += part;
        }
        return [result];
      },
    },
    onnx: {
      emit: (builder, inputs, { attributes: { axis } }) => builder.op('Concat', inputs, { attributes: { axis } }),
    },
    webgpu: {
      at({ inputs, attributes: { axis }, read, dim, let: bind }, coordinates) {
        // every input is read, in range; the one whose part of the axis this is, is taken
        let start: Dim = 0;
        let value: string | undefined;
        inputs.forEach((input, i) => {
          const size = input.shape[axis]!;
          const local = start === 0 ? coordinates[axis]! : `(${coordinates[axis]} - ${dim(start)})`;
          const clamped = bind(`min(${local}, ${dim(size)} - 1u)`);
          const own = read(
            i,
            coordinates.map((c, a) => (a === axis ? clamped : c)),
          );
          value = value === undefined ? own : bind(`select(${value}, ${own}, ${coordinates[axis]} >= ${dim(start)})`);
          start = addDims(start, size);
        });
        return value!;
      },
    },
  },
});

/** Each of two tensors with room for the other, and of both what is in its place. */
function joinTwo(a: Tensor, b: Tensor, axis: number): Tensor {
  const along = (size: Dim) => a.shape.map((_, i) => (i === axis ? size : 0));
  const [first, second] = [a.shape[axis]!, b.shape[axis]!];
  const none = along(0);
  const isFirst = arange(a.device, addDims(first, second)).less(sizeScalar(a.device, first, 'i32'));
  const mask = reshape(
    isFirst,
    a.shape.map((_, i) => (i === axis ? addDims(first, second) : 1)),
  );
  return where(mask, pad(a, none, along(second)), pad(b, along(first), none));
}

/** Joins tensors of one dtype along an axis. @throws ShapeError, DTypeError where they differ otherwise; ArgumentError for none */
export function concat(inputs: readonly Tensor[], axis: number): Tensor {
  return calledAs('concat', () => {
    checkArguments('concat', 'tensors', { tensors: inputs });
    const first = inputs[0];
    if (!first) throw new ArgumentError('concat: takes at least one tensor');
    const at = normalizeAxis('concat', axis, first.rank);
    return inputs.length === 1 ? first : recordOne(concatOp, inputs, { axis: at });
  });
}
