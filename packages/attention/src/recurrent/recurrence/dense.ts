import {
  arange,
  defineOp,
  formatShape,
  multiplyDims,
  type Op,
  record,
  ShapeError,
  shapesEqual,
  sizeScalar,
  type Tensor,
  type TensorType,
} from '@heddle/tensor';
import { checkRecurrence, listed, type Named, named, type RecurrenceAttributes, stateShape } from './attributes.ts';
import { chunkedRecurrence, type RecurrenceResult } from './chunks.ts';
import { packedRecurrence } from './packed.ts';
import { ReferenceRecurrence } from './reference.ts';

/** A recurrence over a batch of equally long sequences: outputs and last states. */
const denseRecurrenceOp: Op<RecurrenceAttributes> = defineOp({
  name: 'linearRecurrence',
  shape(list, attributes): readonly TensorType[] {
    const inputs = named(list, attributes);
    const sizes = checkRecurrence('linearRecurrence', inputs, 2);
    const states = stateShape(inputs.q.shape[0]!, sizes);
    if (inputs.state && !shapesEqual(inputs.state.shape, states))
      throw new ShapeError(
        `linearRecurrence: the state must be ${formatShape(states)}, got ${formatShape(inputs.state.shape)}`,
      );
    return [
      { shape: inputs.v.shape, dtype: 'f32' },
      { shape: states, dtype: 'f32' },
    ];
  },
  decompose(list, attributes) {
    const inputs = named(list, attributes);
    const { rule, chunk } = attributes;
    const isFixed = inputs.q.shape.slice(0, 2).every((dim) => typeof dim === 'number' && dim > 0);
    const { out, state } = isFixed
      ? chunkedRecurrence(inputs, rule, checkRecurrence('linearRecurrence', inputs, 2), chunk)
      : asPacked(inputs, attributes);
    return [out, state];
  },
  lower: {
    reference: {
      run({ inputs: list, attributes }) {
        const inputs = named(list, attributes);
        const recurrence = new ReferenceRecurrence(inputs, attributes.rule);
        const [B, L] = inputs.q.shape as [number, number];
        const [out, states] = [new Float64Array(inputs.v.data.length), new Float64Array(B * recurrence.stateSize)];
        for (let b = 0; b < B; b++) {
          const state = recurrence.initial(inputs.state, b);
          for (let l = 0; l < L; l++) recurrence.step(b * L + l, state, out);
          states.set(state, b * recurrence.stateSize);
        }
        return [out, states];
      },
    },
  },
});

/** Sequences of a length that is known only in a run are packed rows, one sequence after the other. */
function asPacked(inputs: Named<Tensor>, { rule, chunk }: RecurrenceAttributes): RecurrenceResult {
  const [B, L] = inputs.q.shape;
  const rows = multiplyDims(B!, L!);
  const { device } = inputs.q;
  const flat = (x: Tensor) => x.reshape([rows, ...x.shape.slice(2)]);
  const sequence = arange(device, B!);
  const segments = sequence.reshape([B!, 1]).expand([B!, L!]).flatten();
  const length = sizeScalar(device, L!, 'i32');
  const { out, states } = packedRecurrence(
    {
      ...{ q: flat(inputs.q), k: flat(inputs.k), v: flat(inputs.v), decay: flat(inputs.decay) },
      beta: inputs.beta && flat(inputs.beta),
      ...{ segments, pool: inputs.state, from: inputs.state && sequence, at: sequence.add(1).mul(length).sub(1) },
    },
    { rule, chunk },
  );
  return { out: out.reshape(inputs.v.shape), state: states! };
}

/** Inputs of a recurrence over a batch, f32. */
export interface DenseRecurrence {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly decay: Tensor;
  readonly beta?: Tensor | undefined;
  readonly state?: Tensor | undefined;
}

export function denseRecurrence(
  given: DenseRecurrence,
  options: Pick<RecurrenceAttributes, 'rule' | 'chunk'>,
): RecurrenceResult {
  const { tensors, inputs } = listed<Tensor>({ ...given });
  const [out, state] = record(denseRecurrenceOp, tensors, { ...options, inputs });
  return { out: out!, state: state! };
}
