import type { TensorType } from '../../shape.ts';
import { getOrMake } from './get-or-make.ts';
import type { DeviceBuffer } from './memory/buffers.ts';
import type { WebGpuStorage } from './memory/storage.ts';
import type { Pipeline } from './pipelines.ts';
import type { MemoryPlan } from './planning/memory-plan.ts';
import type { BlockRange } from './planning/run-sizes.ts';
import type { DeviceServices } from './services.ts';
import type { BufferValue, Step } from './values.ts';

/** Bind groups of one step that are kept, for inputs that take turns. */
const keptGroups = 64;

/** The buffers that may be others in each run. */
export interface RunBuffers {
  readonly inputs: readonly DeviceBuffer[];
  readonly outputs: readonly DeviceBuffer[];
}

/** What of a plan its bind groups are made of. */
export interface BindingPlan {
  readonly steps: readonly Step[];
  readonly memory: MemoryPlan;
  readonly pipelines: readonly Pipeline[];
  readonly parameters: GPUBuffer;
  readonly blocks: readonly (BlockRange | undefined)[];
  bytesOf(type: TensorType): number;
}

const noBuffers: RunBuffers = { inputs: [], outputs: [] };

/** The bind groups of a plan's steps: made once, and anew only for buffers that were not seen before. */
export class BindGroups {
  readonly #plan: BindingPlan;
  readonly #services: DeviceServices;
  /** By step: groups for the buffers that differ between runs, by their numbers. */
  readonly #known: readonly Map<string, GPUBindGroup>[];
  /** By step: whether it binds inputs or outputs. */
  readonly #varies: readonly boolean[];
  readonly #groups: GPUBindGroup[] = [];
  /** Groups of the same buffers in every run: steps that bind the same have one, which the host's caches like. */
  readonly #shared = new Map<string, GPUBindGroup>();
  readonly #layouts = new Map<GPUBindGroupLayout, number>();
  #last: RunBuffers | undefined;
  #generation: number;

  constructor(plan: BindingPlan, services: DeviceServices) {
    this.#plan = plan;
    this.#services = services;
    this.#generation = services.arena.generation;
    this.#known = plan.steps.map(() => new Map());
    this.#varies = plan.steps.map(({ bindings }) => bindings.some(({ value }) => this.#mayDiffer(value)));
    for (const [i, step] of plan.steps.entries())
      if (!this.#varies[i]) this.#groups[i] = this.#groupOf(step, i, noBuffers);
  }

  /** A group for each step. */
  forRun(buffers: RunBuffers): readonly GPUBindGroup[] {
    const { generation } = this.#services.arena;
    const moved = this.#generation !== generation;
    if (!moved && this.#last && sameBuffers(this.#last, buffers)) return this.#groups;
    if (moved) {
      for (const known of this.#known) known.clear();
      this.#shared.clear();
    }
    for (const [i, step] of this.#plan.steps.entries())
      if (moved || this.#varies[i]) this.#groups[i] = this.#groupOf(step, i, buffers);
    this.#generation = generation;
    this.#last = { inputs: [...buffers.inputs], outputs: [...buffers.outputs] };
    return this.#groups;
  }

  #groupOf(step: Step, i: number, buffers: RunBuffers): GPUBindGroup {
    const resources = step.bindings.map(({ value }) => this.#bufferOf(value, buffers));
    const key = step.bindings.map(({ value }, b) => (this.#mayDiffer(value) ? resources[b]!.id : '')).join();
    const known = this.#known[i]!;
    const found = known.get(key);
    if (found) return found;
    const { pipelines, parameters, blocks, bytesOf } = this.#plan;
    const { maxBindingBytes } = this.#services.capabilities;
    const entries: GPUBindGroupEntry[] = resources.map(({ gpu, byteLength, offset = 0 }, binding) => {
      const { value, part } = step.bindings[binding]!;
      // arena buffers are larger where another plan needs them to be
      const whole = value.kind === 'temporary' ? bytesOf(value.type) : byteLength;
      if (!part) return { binding, resource: { buffer: gpu, offset, size: Math.min(whole, maxBindingBytes) } };
      // a part that this run does not reach is never touched: any other is bound in its place
      const at = part.offset < whole ? part.offset : 0;
      return { binding, resource: { buffer: gpu, offset: at, size: Math.min(part.size, whole - at) } };
    });
    const block = blocks[i];
    if (block)
      entries.push({
        binding: entries.length,
        resource: { buffer: parameters, offset: block.offset, size: block.byteLength },
      });
    const { layout } = pipelines[i]!;
    const make = () => this.#services.device.createBindGroup({ layout, entries });
    if (!this.#varies[i]) {
      const ranges = entries.map(({ resource }, b) => {
        const { offset, size } = resource as GPUBufferBinding;
        return `${resources[b]?.id}:${offset}:${size}`;
      });
      const number = getOrMake(this.#layouts, layout, () => this.#layouts.size);
      return getOrMake(this.#shared, `${number} ${ranges.join()}`, make);
    }
    const group = make();
    if (known.size >= keptGroups) known.delete(known.keys().next().value!);
    known.set(key, group);
    return group;
  }

  /** Whether a value may be in another buffer in each run. */
  #mayDiffer(value: BufferValue): boolean {
    return value.kind === 'input' || value.kind === 'output' || this.#plan.memory.inputOf.has(value);
  }

  #bufferOf(value: BufferValue, { inputs, outputs }: RunBuffers): DeviceBuffer {
    switch (value.kind) {
      case 'input':
        return inputs[value.index]!;
      case 'output':
        return outputs[value.index]!;
      case 'temporary': {
        const input = this.#plan.memory.inputOf.get(value);
        if (input !== undefined) return inputs[input]!;
        return this.#services.arena.buffer(this.#plan.memory.slotOf.get(value)!);
      }
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
