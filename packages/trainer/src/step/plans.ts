import {
  ArgumentError,
  type CompiledFunction,
  compile,
  type Device,
  type Tensor,
  type Update,
  type Variable,
} from '@heddle/tensor';
import type { BatchSpec } from '../model/batch.ts';
import {
  type BlockCount,
  type Checkpointing,
  type CheckpointingPlan,
  describeCheckpointing,
  policiesFor,
} from '../model/checkpointing.ts';
import {
  type Accumulators,
  recordGradients,
  recordPart,
  recordStep,
  type StepParts,
  scalarRows,
  type Traced,
} from './record-step.ts';

/** A batch that is a whole step, the last of several, or one before that. */
export type PlanKind = 'whole' | 'last' | 'part';

/** The second argument: `[scalarRows, N]` numbers of the optimizer, or `[1]` whether a part is the first of its step. */
type StepFunction = CompiledFunction<
  [Traced, Tensor],
  { metrics?: Tensor; numbers?: Tensor; gradients?: Tensor[]; updates: Update[] }
>;

export interface StepPlan {
  readonly run: StepFunction;
  /** What the recording found of the model's blocks. */
  readonly found: BlockCount;
}

/** The plans of a training step: one for each shape of a batch, and for each kind. */
export class StepPlans {
  readonly #device: Device;
  readonly #parts: StepParts;
  readonly #checkpointing: Checkpointing;
  readonly #plans = new Map<string, StepPlan>();
  readonly #policies = new Map<string, CheckpointingPlan>();
  #accumulators: Accumulators | undefined;

  constructor(device: Device, parts: StepParts, checkpointing: Checkpointing) {
    this.#device = device;
    this.#parts = parts;
    this.#checkpointing = checkpointing;
  }

  get size(): number {
    return this.#plans.size;
  }
  get last(): StepPlan | undefined {
    return [...this.#plans.values()].at(-1);
  }

  /** The plan for a batch, compiled at its first run. @throws ArgumentError where no way to checkpoint fits the budget */
  async planFor(spec: BatchSpec, kind: PlanKind): Promise<StepPlan> {
    const key = `${kind} ${spec.key}`;
    let plan = this.#plans.get(key);
    if (!plan) {
      if (kind !== 'whole') this.#accumulators ??= allocateAccumulators(this.#device, this.#parts);
      const policy = await this.#policyFor(spec, kind);
      plan = this.#plans.get(key) ?? this.#newPlan(spec, kind, policy);
      this.#plans.set(key, plan);
    }
    return plan;
  }

  explain(): string {
    return [...this.#plans.values()]
      .map(({ run, found }) => (found.blocks > 0 ? `${describeCheckpointing(found)}\n${run.explain()}` : run.explain()))
      .join('\n\n');
  }

  dispose(): void {
    for (const { run } of this.#plans.values()) run.dispose();
    for (const sum of [...(this.#accumulators?.gradients ?? []), this.#accumulators?.loss]) sum?.dispose();
  }

  #newPlan(spec: BatchSpec, kind: PlanKind, policy: CheckpointingPlan): StepPlan {
    const found: BlockCount = { blocks: 0, segments: [] };
    const record = (batch: Traced, second: Tensor) => {
      if (kind === 'part')
        return { updates: recordPart(this.#parts, policy, found, this.#accumulators!, batch, second) };
      const accumulators = kind === 'last' ? this.#accumulators : undefined;
      return this.#parts.offloaded
        ? recordGradients(this.#parts, policy, found, accumulators, batch)
        : recordStep(this.#parts, policy, found, accumulators, batch, second);
    };
    const columns = Math.max(1, this.#parts.optimizer.scalars(0).length);
    const inputs = [spec.inputs, { shape: kind === 'part' ? [1] : [scalarRows, columns] }] as const;
    const name = kind === 'part' ? 'train step, a part' : 'train step';
    return { run: compile(record, { device: this.#device, inputs: inputs as never, name }) as StepFunction, found };
  }

  async #policyFor(spec: BatchSpec, kind: PlanKind): Promise<CheckpointingPlan> {
    const checkpointing = this.#checkpointing;
    if (typeof checkpointing === 'string' || !('maxBytes' in checkpointing)) return checkpointing;
    const known = this.#policies.get(spec.key);
    if (known) return known;
    const { maxBytes } = checkpointing;
    const tried: string[] = [];
    let policies: readonly CheckpointingPlan[] = ['none'];
    for (let i = 0; i < policies.length; i++) {
      const plan = this.#newPlan(spec, kind, policies[i]!);
      try {
        const { memory } = await plan.run.report();
        const bytes = memory.activations + memory.outputs;
        tried.push(`${JSON.stringify(policies[i])}: ${bytes}`);
        if (bytes <= maxBytes) {
          this.#policies.set(spec.key, policies[i]!);
          return policies[i]!;
        }
        if (i === 0) policies = policiesFor(plan.found.blocks);
      } finally {
        plan.run.dispose();
      }
    }
    throw new ArgumentError(`train: no checkpointing fits ${maxBytes} bytes (${tried.join(', ')})`);
  }
}

function allocateAccumulators(device: Device, { parameters }: StepParts): Accumulators {
  const made: Variable[] = [];
  const zeros = (name: string, shape: readonly number[]) => {
    const variable = device.zeroVariable(shape, { name, owner: 'gradients' });
    made.push(variable);
    return variable;
  };
  try {
    return {
      gradients: parameters.map(({ name, value }) => zeros(`gradient.${name}`, value.shape as readonly number[])),
      loss: zeros('gradient.loss', [2]),
    };
  } catch (cause) {
    for (const variable of made) variable.dispose();
    throw cause;
  }
}
