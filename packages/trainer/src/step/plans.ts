import {
  ArgumentError,
  type CompiledFunction,
  compile,
  type Device,
  type KernelTime,
  type Tensor,
  type Update,
} from '@heddle/tensor';
import type { Batch, BatchSpec } from '../model/batch.ts';
import {
  type BlockCount,
  type Checkpointing,
  type CheckpointingPlan,
  describeCheckpointing,
  policiesFor,
} from '../model/checkpointing.ts';
import { disposeGradients, type HeldGradients, heldBatch, holdGradients, recordBatch } from './batch-gradients.ts';
import { recordGradients, recordPart, recordStep, type StepParts, scalarRows, type Traced } from './record-step.ts';
import { SegmentedBatches } from './segmented-batches.ts';

/** A batch that is a whole step, the last of several, or one before that. */
export type PlanKind = 'whole' | 'last' | 'part';

/** The second argument: `[scalarRows, N]` numbers of the optimizer, or `[1]` whether a part is the first of its step. */
type StepFunction = CompiledFunction<
  [Traced, Tensor],
  { metrics?: Tensor; numbers?: Tensor; gradients?: Tensor[]; updates: Update[] }
>;

/** What a step gives: what it reports, and gradients where the update is made elsewhere. */
interface StepOutputs {
  readonly metrics?: Tensor;
  readonly gradients?: readonly Tensor[];
}

interface StepPlan {
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
  /** Makes the gradients where activations go to the host: the plans here begin with them then, and take no batch. */
  readonly #segmented: SegmentedBatches | undefined;
  #accumulators: HeldGradients | undefined;

  /** @param segment blocks between activations that go to the host; undefined where none do */
  constructor(device: Device, parts: StepParts, checkpointing: Checkpointing, segment: number | undefined) {
    this.#device = device;
    this.#parts = parts;
    this.#checkpointing = checkpointing;
    this.#segmented = segment === undefined ? undefined : new SegmentedBatches(device, parts, segment);
  }

  get size(): number {
    return this.#plans.size + (this.#segmented?.planCount ?? 0);
  }
  get hostBytes(): number {
    return this.#segmented?.hostBytes ?? 0;
  }

  /** Takes a step with a batch, or a part of one. @throws ArgumentError where no way to checkpoint fits the budget */
  async run(spec: BatchSpec, batch: Batch, kind: PlanKind, second: Float32Array): Promise<StepOutputs> {
    await this.#segmented?.run(spec, batch);
    const plan = await this.#planFor(spec, kind);
    const outputs = (await plan.run((this.#segmented ? {} : batch) as never, second as never)) as StepOutputs;
    // gradients that lie in variables are no outputs
    return this.#givesHeld(kind) ? { ...outputs, gradients: this.#segmented!.held.gradients } : outputs;
  }

  async profile(spec: BatchSpec, batch: Batch, numbers: Float32Array): Promise<readonly KernelTime[]> {
    const before = (await this.#segmented?.profile(spec, batch)) ?? [];
    const plan = await this.#planFor(spec, 'whole');
    return [...before, ...(await plan.run.profile([this.#segmented ? {} : batch, numbers] as never))];
  }

  /** Bytes of activations and gradients of a step. */
  async plan(spec: BatchSpec): Promise<number> {
    const own = async () => {
      const { memory } = await (await this.#planFor(spec, 'whole')).run.report();
      return memory.activations + memory.outputs;
    };
    return this.#segmented ? this.#segmented.plan(spec, own) : own();
  }

  plannedBytes(): { readonly peak: number; readonly sum: number } | undefined {
    const own = [...this.#plans.values()].at(-1)?.run.plannedBytes();
    return this.#segmented ? this.#segmented.plannedBytes(own) : own;
  }

  #givesHeld(kind: PlanKind): boolean {
    return this.#segmented !== undefined && this.#parts.offloaded && kind === 'whole';
  }

  async #planFor({ key: shapes, inputs }: BatchSpec, kind: PlanKind): Promise<StepPlan> {
    const spec = this.#segmented ? { key: '', inputs: {} } : { key: shapes, inputs };
    const key = `${kind} ${spec.key}`;
    let plan = this.#plans.get(key);
    if (!plan) {
      if (kind !== 'whole') this.#accumulators ??= holdGradients(this.#device, this.#parts, 'f32');
      const policy = await this.#policyFor(spec, kind);
      plan = this.#plans.get(key) ?? this.#newPlan(spec, kind, policy);
      this.#plans.set(key, plan);
    }
    return plan;
  }

  explain(): string {
    const own = [...this.#plans.values()].map(({ run, found }) =>
      found.blocks > 0 ? `${describeCheckpointing(found)}\n${run.explain()}` : run.explain(),
    );
    return [...(this.#segmented ? [this.#segmented.explain()] : []), ...own].join('\n\n');
  }

  dispose(): void {
    for (const { run } of this.#plans.values()) run.dispose();
    this.#segmented?.dispose();
    disposeGradients(this.#accumulators);
  }

  #newPlan(spec: BatchSpec, kind: PlanKind, policy: CheckpointingPlan): StepPlan {
    const found: BlockCount = { blocks: 0, segments: [] };
    const parts = this.#parts;
    const record = (batch: Traced, second: Tensor) => {
      const own = this.#segmented ? heldBatch(parts, this.#segmented.held) : recordBatch(parts, policy, found, batch);
      if (kind === 'part') return { updates: recordPart(own, this.#accumulators!, second) };
      const accumulators = kind === 'last' ? this.#accumulators : undefined;
      if (!parts.offloaded) return recordStep(parts, own, accumulators, second);
      const { gradients, ...rest } = recordGradients(parts, own, accumulators);
      return this.#givesHeld(kind) ? rest : { gradients, ...rest };
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
