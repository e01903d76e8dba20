import type { OnnxBuilder, OnnxLowering } from '@heddle/tensor';
import { checkRecurrence, type Named, named, type RecurrenceAttributes, type RecurrenceSizes } from './attributes.ts';

/** A loop of the runtime over the rows, which carries the state of the sequence that they are of. */
export const packedRecurrenceOnnx: OnnxLowering<RecurrenceAttributes> = {
  emit(builder, list, node) {
    const { attributes } = node;
    const inputs = named(list, attributes);
    const types = named(node.inputs, attributes);
    const sizes = checkRecurrence('packedLinearRecurrence', types, 1);
    const { H, Dk, Dv } = sizes;
    const f32 = (value: number) => builder.constant('f32', [], [value]);
    const zeros = builder.op('Expand', [f32(0), builder.sizes([H, Dk, Dv])]);
    const states = node.outputs[1]?.shape;
    const saved = states && builder.op('Expand', [f32(0), builder.sizes(states)]);
    const rows = builder.op('Squeeze', [builder.sizes(types.v.shape.slice(0, 1))]);
    // once, as the body reads them in every row
    const pool = inputs.pool && builder.cast(inputs.pool, 'f32');
    const [, , ...results] = builder.loop(
      rows,
      [
        { value: builder.constant('i32', [], [-1]), type: 'i32' },
        { value: zeros, type: 'f32' },
        ...(saved ? [{ value: saved, type: 'f32' as const }] : []),
      ],
      (row, [current, state, kept]) => {
        const one = new RowNodes(builder, { ...inputs, pool }, sizes, row);
        const sequence = one.of(inputs.segments!, []);
        const isRow = builder.op('GreaterOrEqual', [sequence, builder.constant('i32', [], [0])]);
        const isSame = builder.op('Equal', [sequence, current!]);
        const begins = builder.op('And', [isRow, builder.op('Not', [isSame])]);
        const before = builder.op('Where', [begins, one.initial(sequence), state!]);
        const { after, out } = one.step(before, attributes);
        const next = builder.op('Where', [isRow, after, state!]);
        const shown = builder.op('Where', [isRow, out, f32(0)]);
        const carried = [builder.op('Where', [isRow, sequence, current!]), next];
        if (kept !== undefined) {
          const ends = builder.op('Equal', [builder.cast(inputs.at!, 'i64'), row]);
          const taken = builder.op('And', [ends, isRow]);
          const mask = builder.op('Reshape', [taken, builder.constant('i64', [4], [-1, 1, 1, 1])]);
          carried.push(builder.op('Where', [mask, after, kept]));
        }
        return { carried, collected: [{ value: shown, type: 'f32' }] };
      },
    );
    const out = builder.reshape(results.at(-1)!, node.outputs[0]!.shape);
    return states ? [out, builder.reshape(results[0]!, states)] : [out];
  },
};

/** Nodes of one row within the loop. */
class RowNodes {
  readonly #builder: OnnxBuilder;
  readonly #inputs: Named<string>;
  readonly #sizes: RecurrenceSizes;
  readonly #row: string;

  constructor(builder: OnnxBuilder, inputs: Named<string | undefined>, sizes: RecurrenceSizes, row: string) {
    this.#builder = builder;
    this.#inputs = inputs as Named<string>;
    this.#sizes = sizes;
    this.#row = row;
  }

  /** The row of an input, in a shape of one row's values. */
  of(input: string, shape: readonly number[]): string {
    const row = this.#builder.op('Gather', [input, this.#row], { attributes: { axis: 0 } });
    return shape.length === 0
      ? row
      : this.#builder.op('Reshape', [row, this.#builder.constant('i64', [shape.length], shape)]);
  }

  /** What the state of a sequence was before the step. */
  initial(sequence: string): string {
    const builder = this.#builder;
    const { pool, from } = this.#inputs;
    const zero = builder.constant('f32', [], [0]);
    if (!pool || !from) return zero;
    const first = builder.constant('i32', [], [0]);
    const gathered = (values: string, index: string) =>
      builder.op('Gather', [values, builder.op('Max', [index, first])], { attributes: { axis: 0 } });
    const slot = gathered(from, sequence);
    return builder.op('Where', [builder.op('Less', [slot, first]), zero, gathered(pool, slot)]);
  }

  step(before: string, { rule }: RecurrenceAttributes): { readonly after: string; readonly out: string } {
    const builder = this.#builder;
    const { q, k, v, decay, beta } = this.#inputs;
    const { H, Dk, Dv } = this.#sizes;
    const key = this.#perHead(k);
    const state = builder.op('Mul', [before, builder.op('Exp', [this.of(decay, [H, 1, 1])])]);
    const value = this.of(v, [H, 1, Dv]);
    const held = rule === 'delta' && builder.op('MatMul', [key, state]);
    const taken = held ? builder.op('Mul', [builder.op('Sub', [value, held]), this.of(beta!, [H, 1, 1])]) : value;
    const column = builder.op('Reshape', [key, builder.constant('i64', [3], [H, Dk, 1])]);
    const after = builder.op('Add', [state, builder.op('Mul', [column, taken])]);
    const out = builder.op('MatMul', [this.#perHead(q), after]);
    return { after, out: builder.op('Reshape', [out, builder.constant('i64', [2], [H, Dv])]) };
  }

  /** `[H, 1, Dk]` of a row of K heads. */
  #perHead(input: string): string {
    const builder = this.#builder;
    const { K, H, Dk } = this.#sizes;
    const row = this.of(input, [K, 1, 1, Dk]);
    const spread = K === H ? row : builder.op('Expand', [row, builder.constant('i64', [4], [K, H / K, 1, Dk])]);
    return builder.op('Reshape', [spread, builder.constant('i64', [3], [H, 1, Dk])]);
  }
}
