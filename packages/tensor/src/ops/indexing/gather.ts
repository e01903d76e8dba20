import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import type { Dim } from '../../dim.ts';
import { isStorageDType } from '../../dtype.ts';
import { bounded } from '../../graph/bounded.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { gatherBlocks } from '../../quantized/onnx-blocks.ts';
import { formatShape, normalizeAxis, shapesEqual, sizeOf } from '../../shape.ts';
import { flatten, permute, reshape } from '../movement/movement.ts';
import { scatterAddWebGpu } from './scatter-add.wgsl.ts';

const takeOp: Op<{ readonly axis: number }> = defineOp({
  name: 'take',
  takes: (_, input) => input === 0,
  shape([x, indices], { axis }) {
    if (indices!.dtype !== 'i32') throw new DTypeError(`take: indices must be i32, got ${indices!.dtype}`);
    const dtype = isStorageDType(x!.dtype) ? 'f32' : x!.dtype;
    return [{ shape: [...x!.shape.slice(0, axis), ...indices!.shape, ...x!.shape.slice(axis + 1)], dtype }];
  },
  gradient({ inputs: [x, indices], outputGradients: [g], attributes: { axis } }) {
    const inner = indices!.rank;
    // the gathered axes in front, scattered, and back
    const front = Array.from({ length: inner }, (_, i) => axis + i);
    const others = Array.from({ length: g!.rank }, (_, i) => i).filter((i) => !front.includes(i));
    const rows = reshape(permute(g!, [...front, ...others]), [
      sizeOf(indices!.shape),
      ...others.map((i) => g!.shape[i]!),
    ]);
    const scattered = recordOne(scatterAddOp, [flatten(indices!), rows], { rows: x!.shape[axis]! });
    const back = x!.shape.map((_, i) => (i === axis ? 0 : i < axis ? i + 1 : i));
    return [permute(scattered, back), undefined];
  },
  lower: {
    reference: {
      run({ inputs: [x, indices], outputs: [out], attributes: { axis } }) {
        const inner = sizeOf(x!.shape.slice(axis + 1));
        const size = x!.shape[axis]!;
        const result = new Float64Array(sizeOf(out!.shape));
        const outer = sizeOf(x!.shape.slice(0, axis));
        let at = 0;
        for (let o = 0; o < outer; o++)
          for (const index of indices!.data) {
            const from = (o * size + Math.min(Math.max(index, 0), size - 1)) * inner;
            result.set(x!.data.subarray(from, from + inner), at);
            at += inner;
          }
        return [result];
      },
    },
    onnx: {
      emit(builder, [x, indices], { inputs, attributes: { axis } }) {
        const last = builder.op('Sub', [
          builder.cast(builder.sizes([inputs[0]!.shape[axis]!]), 'i32'),
          builder.constant('i32', [1], [1]),
        ]);
        const clamped = builder.op('Max', [builder.op('Min', [indices!, last]), builder.constant('i32', [1], [0])]);
        const shaped = inputs[1]!.rank === 0 ? builder.op('Squeeze', [clamped]) : clamped;
        const blocks = axis === 0 && inputs[0]!.shape.length === 2 ? builder.blocks(x!) : undefined;
        if (blocks) return gatherBlocks(builder, shaped, inputs[1]!.shape.length, blocks);
        const values = isStorageDType(inputs[0]!.dtype) ? builder.floats(x!) : x!;
        return builder.op('Gather', [values, shaped], { attributes: { axis } });
      },
    },
    webgpu: {
      at({ inputs: [x, indices], attributes: { axis }, read, dim, let: bind }, coordinates) {
        const index = read(1, coordinates.slice(axis, axis + indices!.shape.length));
        const clamped = bind(`min(u32(max(${index}, 0)), ${dim(x!.shape[axis]!)} - 1u)`);
        return read(0, [...coordinates.slice(0, axis), clamped, ...coordinates.slice(axis + indices!.shape.length)]);
      },
    },
  },
});

/**
 * The slices of `x` along `axis` at `indices` (i32, any shape, which replaces the axis). Indices outside the axis take the
 * nearest slice. Of tables that are storage-only (bf16, block formats) the slices are f32.
 * @throws DTypeError for indices that are not i32; ShapeError for an axis that is none, or has nothing to take
 */
export function take(x: Tensor, indices: Tensor, axis = 0): Tensor {
  checkArguments('take', 'tensor', { x, indices });
  return taken('take', x, indices, axis);
}

/** `take`, under the name of the operation that the caller knows. */
export function taken(name: string, x: Tensor, indices: Tensor, axis: number): Tensor {
  const at = normalizeAxis(name, axis, x.rank);
  if (x.shape[at] === 0 && !indices.shape.includes(0))
    throw new ShapeError(
      `${name}: axis ${at} of ${formatShape(x.shape)} has nothing to take for ${formatShape(indices.shape)} indices`,
    );
  return recordOne(takeOp, [x, bounded(name, indices, x.shape[at]!)], { axis: at });
}

const scatterAddOp: Op<{ readonly rows: Dim }> = defineOp({
  name: 'scatterAdd',
  shape([indices, updates], { rows }) {
    if (indices!.dtype !== 'i32') throw new DTypeError(`scatterAdd: indices must be i32, got ${indices!.dtype}`);
    if (updates!.dtype === 'bool') throw new DTypeError('scatterAdd: takes numbers, got bool; cast it');
    if (indices!.shape.length !== 1 || !shapesEqual(indices!.shape, updates!.shape.slice(0, 1)))
      throw new ShapeError(
        `scatterAdd: takes indices [T] and updates [T, ...], got ${formatShape(indices!.shape)} and ${formatShape(updates!.shape)}`,
      );
    return [{ shape: [rows, ...updates!.shape.slice(1)], dtype: updates!.dtype }];
  },
  gradient: ({ inputs: [indices], outputGradients: [g] }) => [
    undefined,
    recordOne(takeOp, [g!, indices!], { axis: 0 }),
  ],
  lower: {
    reference: {
      run({ inputs: [indices, updates], outputs: [out] }) {
        const result = new Float64Array(sizeOf(out!.shape));
        const inner = sizeOf(out!.shape.slice(1));
        const last = out!.shape[0]! - 1;
        indices!.data.forEach((row, t) => {
          const to = Math.min(Math.max(row, 0), last) * inner;
          for (let i = 0; i < inner; i++) result[to + i]! += updates!.data[t * inner + i]!;
        });
        return [result];
      },
    },
    onnx: {
      emit(builder, [indices, updates], { outputs: [out] }) {
        // the runtime adds no f16 here; in f32 it is also summed as it should be
        const dtype = out!.dtype === 'f16' ? 'f32' : out!.dtype;
        const zeros = builder.op('Expand', [builder.constant(dtype, [], [0]), builder.sizes(out!.shape)]);
        const last = builder.op('Sub', [
          builder.cast(builder.sizes(out!.shape.slice(0, 1)), 'i32'),
          builder.constant('i32', [1], [1]),
        ]);
        const clamped = builder.op('Max', [builder.op('Min', [indices!, last]), builder.constant('i32', [1], [0])]);
        const places = builder.op('Unsqueeze', [builder.cast(clamped, 'i64'), builder.constant('i64', [1], [-1])]);
        const values = dtype === out!.dtype ? updates! : builder.cast(updates!, dtype);
        const sums = builder.op('ScatterND', [zeros, places, values], { attributes: { reduction: 'add' } });
        return dtype === out!.dtype ? sums : builder.cast(sums, out!.dtype);
      },
    },
    webgpu: scatterAddWebGpu,
  },
});

/**
 * Zeros `[rows, ...]` to whose row `indices[t]` (i32 `[T]`) each `updates[t]` (`[T, ...]`) is added; outside indices go to the
 * nearest row.
 * @throws DTypeError for indices that are not i32, and updates that are no numbers; ShapeError
 */
export function scatterAdd(rows: Dim, indices: Tensor, updates: Tensor): Tensor {
  return calledAs('scatterAdd', () => {
    checkArguments('scatterAdd', 'tensor', { indices, updates });
    return recordOne(scatterAddOp, [bounded('scatterAdd', indices, rows), updates], { rows });
  });
}

/**
 * Rows of `table` `[V, E]` for `ids` (i32, any shape): `[...ids, E]`; f32 where the table is bf16 or of a block format.
 * @throws ShapeError, DTypeError
 */
export function embedding(table: Tensor, ids: Tensor): Tensor {
  return calledAs('embedding', () => {
    checkArguments('embedding', 'tensor', { table, ids });
    if (table.rank !== 2) throw new ShapeError(`embedding: takes a table [V, E], got ${formatShape(table.shape)}`);
    return taken('embedding', table, ids, 0);
  });
}
