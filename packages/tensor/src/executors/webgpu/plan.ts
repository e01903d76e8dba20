import { DisposedError } from '../../checks/errors.ts';
import type { Dim, SymbolValues } from '../../dim.ts';
import { sizeOf, type TensorType } from '../../shape.ts';
import { BindGroups, type RunBuffers } from './bind-groups.ts';
import type { CommandRecorder } from './command-recorder.ts';
import { getOrMake } from './get-or-make.ts';
import { bufferUsage } from './gpu-flags.ts';
import { bufferBytes } from './memory/buffer-bytes.ts';
import type { Pipeline } from './pipelines.ts';
import { type Bucket, boundOf } from './planning/buckets.ts';
import type { KnownKernels } from './planning/known-kernels.ts';
import { type MemoryPlan, planMemory } from './planning/memory-plan.ts';
import { beginsOfParts } from './planning/parts-of-runs.ts';
import { RunSizes } from './planning/run-sizes.ts';
import { shareDispatches } from './planning/shared-dispatches.ts';
import { assertBindable, stepsOf } from './planning/steps.ts';
import type { KernelSchedule } from './planning/units.ts';
import type { DeviceServices } from './services.ts';
import type { ChoiceMade } from './tuning/choices.ts';
import type { Step } from './values.ts';

/** What a plan has once it is compiled and allocated. */
interface Ready {
  readonly pipelines: readonly Pipeline[];
  readonly groups: BindGroups;
  /** The parameter blocks of all steps. */
  readonly parameters: GPUBuffer;
  readonly release: () => void;
  readonly leave: () => void;
}

export interface PlanOptions {
  /** Inputs that a run may write over. */
  readonly donated: ReadonlySet<number>;
  /** Whether kernels share dispatches. */
  readonly fuse: boolean;
  /** The kernels of the program's other plans. */
  readonly known: KnownKernels;
}

/** The kernels of a program for one bucket of sizes, with the memory that they need. */
export class Plan {
  readonly bucket: Bucket;
  readonly steps: readonly Step[];
  readonly memory: MemoryPlan;
  /** Where its kernels could have been others, once for each class of shapes. */
  readonly choices: readonly ChoiceMade[];
  readonly #services: DeviceServices;
  readonly #sizes: RunSizes;
  /** By step: whether what is before it is submitted first. */
  readonly #begins: readonly boolean[];
  #ready: Ready | undefined;
  #preparation: Promise<void> | undefined;
  #disposed = false;

  constructor(
    schedule: KernelSchedule,
    bucket: Bucket,
    services: DeviceServices,
    { donated, fuse, known }: PlanOptions,
  ) {
    this.bucket = bucket;
    this.#services = services;
    const bounds = new Map<string, number>();
    const bound = (dim: Dim): number =>
      typeof dim === 'number' ? dim : getOrMake(bounds, dim.key, () => boundOf(dim, bucket));
    const { capabilities, choices } = services;
    const made = new Map<string, ChoiceMade>();
    const onChoice = (choice: ChoiceMade) => made.set(choice.shapeClass, choice);
    const steps = stepsOf(schedule, { capabilities, bound, fuse, choices, onChoice }, known);
    this.steps = fuse ? shareDispatches(steps, { capabilities, bound, bytesOf: this.bytesOf }, known) : steps;
    this.choices = [...made.values()];
    this.memory = planMemory(this.steps, this.bytesOf, donated);
    this.#sizes = new RunSizes(this.steps, schedule.graph.symbols);
    this.#begins = beginsOfParts(this.steps, bound);
  }

  /** Bytes of a buffer that holds a value of `type` in every run of this plan. */
  readonly bytesOf = ({ shape, dtype }: TensorType): number => bufferBytes(dtype, boundOf(sizeOf(shape), this.bucket));

  /** Bytes of the buffer of its parameter blocks. */
  get parameterBytes(): number {
    return Math.max(16, this.#sizes.words.byteLength);
  }

  get isReady(): boolean {
    return this.#ready !== undefined;
  }

  /** Compiles and allocates. @throws OutOfMemoryError before anything is allocated; DeviceError */
  prepare(owner: string, onKernel?: (done: number, total: number) => void): Promise<void> {
    this.#preparation ??= this.#prepare(owner, onKernel).catch((cause: unknown) => {
      this.#preparation = undefined;
      throw cause;
    });
    return this.#preparation;
  }

  async #prepare(owner: string, onKernel?: (done: number, total: number) => void): Promise<void> {
    const { pool, arena, pipelines: cache, health } = this.#services;
    const { steps, memory } = this;
    for (const step of steps) {
      for (const { value, part } of step.bindings) pool.check(this.bytesOf(value.type), owner, part !== undefined);
      assertBindable(step, this.#services.capabilities);
    }
    const leave = arena.join();
    try {
      arena.reserve(memory.slots);
      let done = 0;
      onKernel?.(0, steps.length);
      const pipelines = await Promise.all(
        steps.map(async (step) => {
          const pipeline = await cache.get(step);
          onKernel?.(++done, steps.length);
          return pipeline;
        }),
      );
      health.assertWorks();
      if (this.#disposed) throw new DisposedError(`${owner}: the program was disposed of`);
      const size = this.parameterBytes;
      const release = pool.take(size, owner);
      const usage = bufferUsage.uniform | bufferUsage.copyDestination;
      const parameters = pool.make(size, usage);
      const { blocks } = this.#sizes;
      const { bytesOf } = this;
      const groups = new BindGroups({ steps, memory, pipelines, parameters, blocks, bytesOf }, this.#services);
      this.#ready = { pipelines, groups, parameters, release, leave };
    } catch (cause) {
      leave();
      throw cause;
    }
  }

  /** Does ahead what a run of these sizes with these buffers would do first. What a run refuses is left for it to refuse. */
  expect(buffers: RunBuffers | undefined, symbols: SymbolValues): void {
    const { groups, parameters } = this.#ready!;
    if (buffers) groups.forRun(buffers);
    try {
      if (this.#sizes.update(symbols)) this.#services.device.queue.writeBuffer(parameters, 0, this.#sizes.words);
    } catch {
      // the sizes are computed again by the run, which throws
    }
  }

  /**
   * Records the run. The sizes are in this plan's bucket. A long run goes out in parts, so that the device begins while the host
   * still records.
   * @param next submits what is recorded
   */
  encode(recorder: CommandRecorder, buffers: RunBuffers, symbols: SymbolValues, next: () => void): void {
    const { pipelines, groups, parameters } = this.#ready!;
    if (this.#sizes.update(symbols)) this.#services.device.queue.writeBuffer(parameters, 0, this.#sizes.words);
    const bound = groups.forRun(buffers);
    const counts = this.#sizes.workgroups;
    let { pass } = recorder;
    let last: Pipeline | undefined;
    let group: GPUBindGroup | undefined;
    for (let i = 0; i < bound.length; i++) {
      if (this.#begins[i]) {
        next();
        pass = recorder.pass;
        last = undefined;
        group = undefined;
      }
      const x = counts[3 * i]!;
      const y = counts[3 * i + 1]!;
      const z = counts[3 * i + 2]!;
      if (x * y * z === 0) continue;
      const pipeline = pipelines[i]!;
      if (pipeline !== last) pass.setPipeline(pipeline.gpu);
      last = pipeline;
      if (bound[i] !== group) pass.setBindGroup(0, bound[i]!);
      group = bound[i];
      pass.dispatchWorkgroups(x, y, z);
    }
  }

  /** The same with a pass for each kernel, between two timestamps of `queries`: for measuring, not for speed. */
  encodeTimed(encoder: GPUCommandEncoder, buffers: RunBuffers, symbols: SymbolValues, queries: GPUQuerySet): void {
    const { pipelines, groups, parameters } = this.#ready!;
    if (this.#sizes.update(symbols)) this.#services.device.queue.writeBuffer(parameters, 0, this.#sizes.words);
    const counts = this.#sizes.workgroups;
    groups.forRun(buffers).forEach((group, i) => {
      const timestampWrites = { querySet: queries, beginningOfPassWriteIndex: 2 * i, endOfPassWriteIndex: 2 * i + 1 };
      const pass = encoder.beginComputePass({ timestampWrites });
      pass.setPipeline(pipelines[i]!.gpu);
      pass.setBindGroup(0, group);
      pass.dispatchWorkgroups(counts[3 * i]!, counts[3 * i + 1]!, counts[3 * i + 2]!);
      pass.end();
    });
  }

  dispose(): void {
    this.#disposed = true;
    if (this.#ready) this.#services.pool.destroy(this.#ready.parameters);
    this.#ready?.release();
    this.#ready?.leave();
    this.#ready = undefined;
  }
}
