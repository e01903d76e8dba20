import type { SymbolValues } from '../../dim.ts';
import { DisposedError } from '../../errors.ts';
import { sizeOf, type TensorType } from '../../shape.ts';
import type { DeviceBuffer } from './buffers.ts';
import { bufferUsage } from './gpu-flags.ts';
import type { Pipeline } from './pipelines.ts';
import { type Bucket, boundOf } from './planning/buckets.ts';
import { bufferBytes, type MemoryPlan, planMemory } from './planning/memory-plan.ts';
import { RunSizes } from './planning/run-sizes.ts';
import { stepsOf } from './planning/steps.ts';
import type { Schedule } from './planning/units.ts';
import type { DeviceServices } from './services.ts';
import type { WebGpuStorage } from './storage.ts';
import type { BufferValue, Step } from './values.ts';

/** Bind groups of one step that are kept, for inputs that take turns. */
const keptGroups = 64;

/** The buffers that may be others in each run. */
export interface RunBuffers {
  readonly inputs: readonly DeviceBuffer[];
  readonly outputs: readonly DeviceBuffer[];
}

/** The kernels of a program for one bucket of sizes, with the memory that they need. */
export class Plan {
  readonly bucket: Bucket;
  readonly steps: readonly Step[];
  readonly memory: MemoryPlan;
  readonly #services: DeviceServices;
  readonly #sizes: RunSizes;
  readonly #groups: BindGroups;
  #pipelines: readonly Pipeline[] | undefined;
  #resources: { readonly buffer: GPUBuffer; readonly release: () => void; readonly leave: () => void } | undefined;
  #preparation: Promise<void> | undefined;
  #disposed = false;

  constructor(schedule: Schedule, bucket: Bucket, services: DeviceServices) {
    this.bucket = bucket;
    this.#services = services;
    const bound = (dim: Parameters<typeof boundOf>[0]) => boundOf(dim, bucket);
    this.steps = stepsOf(schedule, { capabilities: services.capabilities, bound });
    this.memory = planMemory(this.steps, (type) => this.bytesOf(type));
    this.#sizes = new RunSizes(this.steps, schedule.graph.symbols);
    this.#groups = new BindGroups(this, services);
  }

  /** Bytes of a buffer that holds a value of `type` in every run of this plan. */
  bytesOf({ shape, dtype }: TensorType): number {
    return bufferBytes(dtype, boundOf(sizeOf(shape), this.bucket));
  }

  get isReady(): boolean {
    return this.#resources !== undefined;
  }

  /** Compiles and allocates. @throws OutOfMemoryError before anything is allocated; DeviceError */
  prepare(owner: string): Promise<void> {
    this.#preparation ??= this.#prepare(owner).catch((cause: unknown) => {
      this.#preparation = undefined;
      throw cause;
    });
    return this.#preparation;
  }

  async #prepare(owner: string): Promise<void> {
    const { device, pool, arena, pipelines, health } = this.#services;
    const leave = arena.join();
    try {
      arena.reserve(this.memory.slots);
      this.#pipelines = await Promise.all(this.steps.map((step) => pipelines.get(step)));
      health.assertWorks();
      if (this.#disposed) throw new DisposedError(`${owner}: the program was disposed of`);
      const size = Math.max(16, this.#sizes.words.byteLength);
      const release = pool.take(size, owner);
      const usage = bufferUsage.uniform | bufferUsage.copyDestination;
      const buffer = device.createBuffer({ size, usage });
      this.#groups.bindParameters(buffer, this.#sizes, this.#pipelines);
      this.#resources = { buffer, release, leave };
    } catch (cause) {
      leave();
      throw cause;
    }
  }

  /** Records the run: first copies, then one pass. The sizes are in this plan's bucket. */
  encode(encoder: GPUCommandEncoder, buffers: RunBuffers, symbols: SymbolValues): void {
    const { device } = this.#services;
    if (this.#sizes.update(symbols)) device.queue.writeBuffer(this.#resources!.buffer, 0, this.#sizes.words);
    const groups = this.#groups.forRun(buffers);
    const pipelines = this.#pipelines!;
    const counts = this.#sizes.workgroups;
    const pass = encoder.beginComputePass();
    let last: Pipeline | undefined;
    for (let i = 0; i < groups.length; i++) {
      const [x, y, z] = [counts[3 * i]!, counts[3 * i + 1]!, counts[3 * i + 2]!];
      if (x === 0 || y === 0 || z === 0) continue;
      const pipeline = pipelines[i]!;
      if (pipeline !== last) pass.setPipeline(pipeline.gpu);
      last = pipeline;
      pass.setBindGroup(0, groups[i]!);
      pass.dispatchWorkgroups(x, y, z);
    }
    pass.end();
  }

  dispose(): void {
    this.#disposed = true;
    this.#resources?.buffer.destroy();
    this.#resources?.release();
    this.#resources?.leave();
    this.#resources = undefined;
  }
}

/** The bind groups of a plan's steps: made once, made anew only for buffers that were not seen before. */
class BindGroups {
  readonly #plan: Plan;
  readonly #services: DeviceServices;
  /** By step: groups for the buffers that differ between runs, by their numbers. */
  readonly #known: Map<string, GPUBindGroup>[];
  /** By step: whether it binds inputs or outputs. */
  readonly #varies: readonly boolean[];
  readonly #groups: GPUBindGroup[] = [];
  #last: RunBuffers | undefined;
  #generation = -1;
  #parameters: GPUBuffer | undefined;
  #sizes: RunSizes | undefined;
  #pipelines: readonly Pipeline[] = [];

  constructor(plan: Plan, services: DeviceServices) {
    this.#plan = plan;
    this.#services = services;
    this.#known = plan.steps.map(() => new Map());
    this.#varies = plan.steps.map(({ bindings }) =>
      bindings.some(({ value: { kind } }) => kind === 'input' || kind === 'output'),
    );
  }

  bindParameters(parameters: GPUBuffer, sizes: RunSizes, pipelines: readonly Pipeline[]): void {
    this.#parameters = parameters;
    this.#sizes = sizes;
    this.#pipelines = pipelines;
    this.#generation = -1;
  }

  forRun(buffers: RunBuffers): readonly GPUBindGroup[] {
    const { arena } = this.#services;
    const moved = this.#generation !== arena.generation;
    if (!moved && this.#last && sameBuffers(this.#last, buffers)) return this.#groups;
    if (moved) for (const known of this.#known) known.clear();
    this.#plan.steps.forEach((step, i) => {
      if (moved || this.#varies[i]) this.#groups[i] = this.#groupOf(step, i, buffers);
    });
    this.#generation = arena.generation;
    this.#last = { inputs: [...buffers.inputs], outputs: [...buffers.outputs] };
    return this.#groups;
  }

  #groupOf(step: Step, i: number, buffers: RunBuffers): GPUBindGroup {
    const resources = step.bindings.map(({ value }) => this.#bufferOf(value, buffers));
    const key = step.bindings
      .map(({ value: { kind } }, b) => (kind === 'input' || kind === 'output' ? resources[b]!.id : ''))
      .join();
    const known = this.#known[i]!;
    const found = known.get(key);
    if (found) return found;
    const entries: GPUBindGroupEntry[] = resources.map(({ gpu, byteLength }, binding) => {
      const { value } = step.bindings[binding]!;
      // arena buffers are larger where another plan needs them to be
      const size = value.kind === 'temporary' ? this.#plan.bytesOf(value.type) : byteLength;
      return { binding, resource: { buffer: gpu, size } };
    });
    const block = this.#sizes!.blocks[i];
    if (block)
      entries.push({
        binding: entries.length,
        resource: { buffer: this.#parameters!, offset: block.offset, size: block.byteLength },
      });
    const group = this.#services.device.createBindGroup({ layout: this.#pipelines[i]!.layout, entries });
    if (known.size >= keptGroups) known.delete(known.keys().next().value!);
    known.set(key, group);
    return group;
  }

  #bufferOf(value: BufferValue, { inputs, outputs }: RunBuffers): DeviceBuffer {
    switch (value.kind) {
      case 'input':
        return inputs[value.index]!;
      case 'output':
        return outputs[value.index]!;
      case 'temporary':
        return this.#services.arena.buffers[this.#plan.memory.slotOf.get(value)!]!;
      default:
        return (value.tensor.storage as WebGpuStorage).buffer;
    }
  }
}

function sameBuffers(a: RunBuffers, b: RunBuffers): boolean {
  for (let i = 0; i < b.inputs.length; i++) if (a.inputs[i] !== b.inputs[i]) return false;
  for (let i = 0; i < b.outputs.length; i++) if (a.outputs[i] !== b.outputs[i]) return false;
  return true;
}
