import { type CompiledFunction, compile, type Device, f32ToF16, type Tensor, type Update } from '@heddle/tensor';
import { recordUpdate, type StepParts } from './record-step.ts';
import { pairState } from './state.ts';
import { writeVariable } from './variables.ts';

type UpdateFunction = CompiledFunction<[readonly Tensor[], Tensor], { values: Tensor[]; updates: Update[] }>;

/** The update of a step on another device than the model's: gradients go there, new weights come back. */
export class OffloadedUpdate {
  readonly #parts: StepParts;
  readonly #plan: UpdateFunction;

  constructor(host: Device, parts: StepParts) {
    this.#parts = parts;
    const { optimizer, state } = parts;
    const record = (gradients: readonly Tensor[], row: Tensor) => {
      const next = recordUpdate(parts, gradients, row);
      return {
        values: [...next.parameters],
        updates: [
          ...state.masters.map(({ value }, i) => value.assign(next.parameters[i]!)),
          ...pairState(state.optimizer, next.state).map(([variable, value]) => variable.assign(value)),
        ],
      };
    };
    const shapes = state.masters.map(({ value }) => ({ shape: value.shape as readonly number[] }));
    const inputs = [shapes, { shape: [1, Math.max(1, optimizer.scalars(0).length)] }];
    this.#plan = compile(record, { device: host, inputs: inputs as never, name: 'offloaded update' }) as UpdateFunction;
  }

  /** Makes the update, and gives the model its weights. */
  async apply(gradients: readonly Tensor[], row: Float32Array): Promise<void> {
    const copied = await Promise.all(gradients.map((gradient) => gradient.data()));
    const fed = copied.map((data, i) => ({ data, shape: gradients[i]!.shape }));
    const { values } = await this.#plan(fed as never, row as never);
    const next = await Promise.all((values as readonly Tensor[]).map((value) => value.data()));
    for (const [i, { value }] of this.#parts.parameters.entries()) {
      const data = next[i] as Float32Array;
      await writeVariable(value, value.dtype === 'f16' ? f32ToF16(data) : data);
    }
  }

  explain(): string {
    return this.#plan.explain();
  }
  dispose(): void {
    this.#plan.dispose();
  }
}
