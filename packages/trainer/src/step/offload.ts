import { type CompiledFunction, compile, type Device, type Tensor, type Update } from '@heddle/tensor';
import { recordUpdate, type StepParts, unscaled } from './record-step.ts';
import { pairState } from './state.ts';
import { writeVariable } from './variables.ts';

type UpdateFunction = CompiledFunction<[readonly Tensor[], Tensor, Tensor], { values: Tensor[]; updates: Update[] }>;

/** The update of a step on another device than the model's: gradients go there, new weights come back. */
export class OffloadedUpdate {
  readonly #host: Device;
  readonly #parts: StepParts;
  readonly #plans = new Map<string, UpdateFunction>();

  constructor(host: Device, parts: StepParts) {
    this.#host = host;
    this.#parts = parts;
  }

  /**
   * Makes the update, and gives the model its weights.
   * @param gradients in the dtypes of the parameters, or f32 where they are sums over several batches
   * @param lossScale what the gradients are multiplied by
   */
  async apply(gradients: readonly Tensor[], row: Float32Array, lossScale: number): Promise<void> {
    const plan = this.#planFor(gradients);
    const copied = await Promise.all(
      gradients.map(async (gradient) => {
        const { shape, dtype } = gradient;
        return this.#host.tensor(await gradient.data(), { shape: shape as readonly number[], dtype: dtype as 'f32' });
      }),
    );
    try {
      const { values } = await plan(copied, row as never, Float32Array.of(lossScale) as never);
      const next = await Promise.all((values as readonly Tensor[]).map((value) => value.data()));
      for (const [i, { value }] of this.#parts.parameters.entries()) await writeVariable(value, next[i]!);
    } finally {
      for (const gradient of copied) gradient.dispose();
    }
  }

  explain(): string {
    return [...this.#plans.values()].map((plan) => plan.explain()).join('\n\n');
  }
  dispose(): void {
    for (const plan of this.#plans.values()) plan.dispose();
  }

  #planFor(gradients: readonly Tensor[]): UpdateFunction {
    const parts = this.#parts;
    const { optimizer, state, precision } = parts;
    const shapes = gradients.map(({ shape, dtype }) => ({ shape: shape as readonly number[], dtype }));
    const key = shapes.map(({ dtype }) => dtype).join();
    const known = this.#plans.get(key);
    if (known) return known;
    const record = (given: readonly Tensor[], row: Tensor, scale: Tensor) => {
      const next = recordUpdate(parts, unscaled(given, precision.lossScale && scale.reshape([])), row);
      return {
        // in the dtypes of the model's: what travels is half as much for f16
        values: next.parameters.map((value, i) => value.cast(parts.parameters[i]!.value.dtype)),
        updates: [
          ...state.masters.map(({ value }, i) => value.assign(next.parameters[i]!)),
          ...pairState(state.optimizer, next.state).map(([variable, value]) => variable.assign(value)),
        ],
      };
    };
    const inputs = [shapes, { shape: [1, Math.max(1, optimizer.scalars(0).length)] }, { shape: [1] }];
    const plan = compile(record, {
      device: this.#host,
      inputs: inputs as never,
      name: 'offloaded update',
    }) as UpdateFunction;
    this.#plans.set(key, plan);
    return plan;
  }
}
