import { checkArguments } from '../../checks/check-arguments.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxes, sizeOf } from '../../shape.ts';

const flipOp: Op<{ readonly axes: readonly number[] }> = defineOp({
  name: 'flip',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: ({ outputGradients: [g], attributes: { axes } }) => [flip(g!, axes)],
  lower: {
    reference: {
      run({ inputs: [x], attributes: { axes } }) {
        let { data } = x!;
        for (const axis of axes) {
          const [size, inner] = [x!.shape[axis]!, sizeOf(x!.shape.slice(axis + 1))];
          const from = data;
          data = from.map((_, i) => {
            const place = Math.floor(i / inner) % size;
            return from[i + (size - 1 - 2 * place) * inner]!;
          });
        }
        return [data];
      },
    },
    onnx: {
      emit(builder, [x], { attributes: { axes } }) {
        const each = (value: number) =>
          builder.constant('i64', [axes.length], new Array<number>(axes.length).fill(value));
        // with steps of -1 any end far below the start stands for the whole axis
        const ends = each(-(2 ** 31));
        return builder.op('Slice', [x!, each(-1), ends, builder.constant('i64', [axes.length], axes), each(-1)]);
      },
    },
    webgpu: {
      at: ({ inputs: [x], attributes: { axes }, dim, read }, coordinates) =>
        read(
          0,
          coordinates.map((c, axis) => (axes.includes(axis) ? `(${dim(x!.shape[axis]!)} - 1u - ${c})` : c)),
        ),
    },
  },
});

/**
 * Reverses the order along axes (all where none are named).
 * @throws ShapeError for an axis that is not there, or is named twice
 */
export function flip(x: Tensor, axes?: number | readonly number[]): Tensor {
  checkArguments('flip', 'tensor', { x });
  const list = normalizeAxes('flip', axes, x.rank);
  return list.length === 0 ? x : recordOne(flipOp, [x], { axes: list });
}
