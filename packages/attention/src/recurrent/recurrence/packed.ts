import {
  DeviceError,
  DTypeError,
  defineOp,
  formatShape,
  type Op,
  record,
  ShapeError,
  stack,
  type Tensor,
  type TensorType,
  take,
  where,
} from '@heddle/tensor';
import { checkRecurrence, listed, type Named, named, type RecurrenceAttributes, stateShape } from './attributes.ts';
import { packedRecurrenceOnnx } from './packed.onnx.ts';
import { packedRecurrenceWebGpu } from './packed.wgsl.ts';
import { statePlan } from './plan.ts';
import { ReferenceRecurrence } from './reference.ts';

/** A recurrence over packed rows: outputs, and the states after the rows `at` where they are asked for. */
const packedRecurrenceOp: Op<RecurrenceAttributes> = defineOp({
  name: 'packedLinearRecurrence',
  shape(list, attributes): readonly TensorType[] {
    const inputs = named(list, attributes);
    const sizes = checkRecurrence('packedLinearRecurrence', inputs, 1);
    const { v, segments, pool, from, at } = inputs;
    const fail = (rule: string, type: TensorType): never => {
      throw new ShapeError(`packedLinearRecurrence: ${rule}, got ${formatShape(type.shape)}`);
    };
    for (const [name, type] of Object.entries({ segments, from, at }))
      if (type && type.dtype !== 'i32')
        throw new DTypeError(`packedLinearRecurrence: ${name} must be i32, got ${type.dtype}`);
    if (segments!.shape.length !== 1 || String(segments!.shape) !== String(v.shape.slice(0, 1)))
      fail('segments must be [T]', segments!);
    const slots = pool?.shape[0] ?? 0;
    if (pool && String(pool.shape) !== String(stateShape(slots, sizes)))
      fail(`the states must be ${formatShape(stateShape(slots, sizes)).replace('[0,', '[slots,')}`, pool);
    if (from && from.shape.length !== 1) fail('from must be [B]', from);
    if (at && at.shape.length !== 1) fail('at must be [W]', at);
    const out: TensorType = { shape: v.shape, dtype: 'f32' };
    return at ? [out, { shape: stateShape(at.shape[0]!, sizes), dtype: 'f32' }] : [out];
  },
  decompose: (list, attributes) => stepByStep(named(list, attributes), attributes),
  lower: {
    reference: {
      run({ inputs: list, outputs, attributes }) {
        const inputs = named(list, attributes);
        const recurrence = new ReferenceRecurrence(inputs, attributes.rule);
        const [segments, at] = [inputs.segments!.data, inputs.at?.data ?? new Float64Array()];
        const out = new Float64Array(inputs.v.data.length);
        const saved = new Float64Array(at.length * recurrence.stateSize);
        const states = new Map<number, Float64Array>();
        segments.forEach((sequence, row) => {
          if (sequence < 0) return;
          const state = states.get(sequence) ?? recurrence.initial(inputs.pool, inputs.from?.data[sequence] ?? -1);
          states.set(sequence, state);
          recurrence.step(row, state, out);
          at.forEach((end, w) => {
            if (end === row) saved.set(state, w * recurrence.stateSize);
          });
        });
        return outputs.length > 1 ? [out, saved] : [out];
      },
    },
    onnx: packedRecurrenceOnnx,
    webgpu: packedRecurrenceWebGpu,
  },
});

/** The recurrence in tensor operations, one row after the other. */
function stepByStep(inputs: Named<Tensor>, { rule }: RecurrenceAttributes): readonly Tensor[] {
  const { q, k, v, decay, beta, segments, pool, from, at } = inputs;
  const sizes = checkRecurrence('packedLinearRecurrence', inputs, 1);
  const { K, H, Dk, Dv } = sizes;
  const T = v.shape[0]!;
  if (typeof T !== 'number' || T === 0)
    throw new DeviceError(
      `packedLinearRecurrence: in tensor operations it takes a number of rows that is fixed and not 0, got ${T}`,
    );
  const rowOf = (x: Tensor, t: number, ...shape: number[]) => x.slice(0, t, t + 1).reshape(shape);
  const perHead = (x: Tensor, t: number) =>
    rowOf(x, t, K, 1, Dk)
      .expand([K, H / K, Dk])
      .reshape([H, Dk, 1]);
  let state = v.device.full([H, Dk, Dv], 0);
  let current: Tensor = v.device.full([], -1, 'i32');
  const outs: Tensor[] = [];
  const states: Tensor[] = [];
  for (let t = 0; t < T; t++) {
    const sequence = segments!.slice(0, t, t + 1).reshape([]);
    const isRow = sequence.greaterEqual(0);
    const begins = isRow.and(sequence.notEqual(current));
    const slot = from && take(from, sequence.maximum(0));
    const first = pool && slot ? where(slot.less(0), 0, take(pool, slot.maximum(0)).cast('f32')) : 0;
    const before = where(begins, first, state).mul(rowOf(decay, t, H, 1, 1).exp());
    const key = perHead(k, t);
    const value = rowOf(v, t, H, 1, Dv);
    const taken =
      rule === 'delta' ? value.sub(before.mul(key).sum(1, { keepDims: true })).mul(rowOf(beta!, t, H, 1, 1)) : value;
    const after = before.add(key.mul(taken));
    outs.push(where(isRow, after.mul(perHead(q, t)).sum(1), 0));
    state = where(isRow, after, state);
    current = where(isRow, sequence, current);
    states.push(state);
  }
  const out = stack(outs, 0);
  if (!at) return [out];
  const isSaved = take(segments!, at).greaterEqual(0).reshape([at.shape[0]!, 1, 1, 1]);
  return [out, where(isSaved, take(stack(states, 0), at), 0)];
}

/** Inputs of a recurrence over packed rows, f32 but for the pool. */
export interface PackedRecurrence {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly decay: Tensor;
  readonly beta?: Tensor | undefined;
  readonly segments: Tensor;
  readonly pool?: Tensor | undefined;
  readonly from?: Tensor | undefined;
  readonly at?: Tensor | undefined;
}

export function packedRecurrence(
  given: PackedRecurrence,
  options: Pick<RecurrenceAttributes, 'rule' | 'chunk'>,
): { readonly out: Tensor; readonly states: Tensor | undefined } {
  const { tensors, inputs } = listed<Tensor>({ ...given, plan: statePlan(given) });
  const [out, states] = record(packedRecurrenceOp, tensors, { ...options, inputs });
  return { out: out!, states };
}
