import type { SymbolValues } from '../../dim.ts';
import type { HostArray } from '../../dtype.ts';
import { DisposedError, ShapeError } from '../../errors.ts';
import type { Program, Storage } from '../../executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { evaluateShape, formatShape, sizeOf } from '../../shape.ts';
import type { Allocation, DeviceBuffer } from './buffers.ts';
import { explainPlan } from './explain.ts';
import { getOrMake } from './get-or-make.ts';
import { Plan } from './plan.ts';
import { boundOf, bucketIndex, bucketOf } from './planning/buckets.ts';
import { Fusion } from './planning/fusion.ts';
import { bufferBytes } from './planning/memory-plan.ts';
import { Schedule } from './planning/units.ts';
import type { DeviceServices } from './services.ts';
import { toDevice, WebGpuStorage } from './storage.ts';

export interface ProgramOptions {
  readonly owner: string;
  readonly ownOutputs: boolean;
  readonly fuse: boolean;
}

/** A graph on a device: one plan for each bucket of its named dimensions, made when a run first needs it. */
export class WebGpuProgram implements Program {
  readonly #services: DeviceServices;
  readonly #graph: Graph;
  readonly #options: ProgramOptions;
  readonly #schedule: Schedule;
  readonly #plans = new Map<number, Plan>();
  /** Buffers of the program's own, for host inputs and for outputs, by their use and size. */
  readonly #own = new Map<string, Allocation>();
  /** Buffers that a run writes: an input that is one of them is copied first. */
  readonly #written = new Set<DeviceBuffer>();
  #outputs: readonly WebGpuStorage[] = [];
  #disposed = false;

  constructor(graph: Graph, options: ProgramOptions, services: DeviceServices) {
    this.#graph = graph;
    this.#options = options;
    this.#services = services;
    const { capabilities } = services;
    const { fuse } = options;
    const fusion = new Fusion(graph, { fuse, maxStorageBuffers: capabilities.maxStorageBuffers });
    const most = Object.fromEntries(graph.symbols.map(({ name, bound }) => [name, bound]));
    const bucket = bucketOf(graph.symbols, most);
    this.#schedule = new Schedule(graph, fusion, { capabilities, bound: (dim) => boundOf(dim, bucket) });
    for (const { variable } of graph.updates) this.#written.add((variable.storage as WebGpuStorage).buffer);
  }

  get kernelCount(): number {
    const plan = [...this.#plans.values()].at(-1) ?? this.#largest();
    return plan.steps.length;
  }

  async prepare(symbols: SymbolValues): Promise<void> {
    await this.#planOf(symbols).prepare(this.#options.owner);
  }

  run(
    inputs: readonly (Storage | HostArray)[],
    symbols: SymbolValues,
  ): readonly Storage[] | Promise<readonly Storage[]> {
    if (this.#disposed) throw new DisposedError(`${this.#options.owner}: the program was disposed of`);
    const plan = this.#planOf(symbols);
    if (plan.isReady) return this.#submit(plan, inputs, symbols);
    return plan.prepare(this.#options.owner).then(() => this.#submit(plan, inputs, symbols));
  }

  plannedBytes(symbols: SymbolValues): { readonly peak: number; readonly sum: number } {
    const plan = this.#planOf(symbols);
    const outputs = this.#graph.outputs.reduce((sum, tensor) => sum + plan.bytesOf(tensor), 0);
    const arena = plan.memory.slots.reduce((sum, bytes) => sum + bytes, 0);
    return { peak: arena + outputs, sum: plan.memory.sum + outputs };
  }

  explain(): string {
    const plans = this.#plans.size > 0 ? [...this.#plans.values()] : [this.#largest()];
    return plans.map(explainPlan).join('\n\n');
  }

  dispose(): void {
    this.#disposed = true;
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
    for (const allocation of this.#own.values()) allocation.release();
    this.#own.clear();
  }

  #planOf(symbols: SymbolValues): Plan {
    const index = bucketIndex(this.#graph.symbols, symbols);
    return getOrMake(
      this.#plans,
      index,
      () => new Plan(this.#schedule, bucketOf(this.#graph.symbols, symbols), this.#services),
    );
  }

  #largest(): Plan {
    return this.#planOf(Object.fromEntries(this.#graph.symbols.map(({ name, bound }) => [name, bound])));
  }

  #submit(plan: Plan, inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): readonly Storage[] {
    const { device, health } = this.#services;
    health.assertWorks();
    const outputs = this.#outputsOf(plan, symbols);
    const encoder = device.createCommandEncoder();
    const buffers = {
      inputs: inputs.map((input, i) => this.#inputBuffer(plan, input, i, symbols, encoder)),
      outputs: outputs.map(({ buffer }) => buffer),
    };
    plan.encode(encoder, buffers, symbols);
    device.queue.submit([encoder.finish()]);
    return outputs;
  }

  #inputBuffer(
    plan: Plan,
    input: Storage | HostArray,
    index: number,
    symbols: SymbolValues,
    encoder: GPUCommandEncoder,
  ): DeviceBuffer {
    const { device } = this.#services;
    const tensor = this.#graph.inputs[index]!;
    if (!ArrayBuffer.isView(input)) {
      const { buffer } = input as WebGpuStorage;
      if (!this.#written.has(buffer)) return buffer;
      // the run writes what it is given: it reads a copy
      const copy = this.#ownBuffer(`input ${index}`, buffer.byteLength);
      encoder.copyBufferToBuffer(buffer.gpu, 0, copy.gpu, 0, buffer.byteLength);
      return copy;
    }
    const shape = evaluateShape(tensor.shape, symbols);
    if (input.length !== sizeOf(shape))
      throw new ShapeError(
        `${this.#options.owner}: input ${index} takes ${formatShape(shape)}, got ${input.length} values`,
      );
    const own = this.#ownBuffer(`input ${index}`, plan.bytesOf(tensor));
    if (input.length > 0) device.queue.writeBuffer(own.gpu, 0, toDevice(tensor.dtype, input));
    return own;
  }

  #outputsOf(plan: Plan, symbols: SymbolValues): readonly WebGpuStorage[] {
    const { outputs } = this.#graph;
    if (this.#options.ownOutputs)
      return outputs.map(({ shape, dtype }) => {
        const type = { shape: evaluateShape(shape, symbols), dtype };
        const { buffer, release } = this.#services.pool.allocate(bufferBytes(dtype, sizeOf(type.shape)), 'tensors');
        return new WebGpuStorage(type, buffer, release);
      });
    // the same storages as in the last run where the sizes are the same
    const last = this.#outputs;
    this.#outputs = outputs.map((tensor, i) => {
      const buffer = this.#ownBuffer(`output ${i}`, plan.bytesOf(tensor));
      const shape = evaluateShape(tensor.shape, symbols);
      const before = last[i];
      if (before?.buffer === buffer && before.type.shape.every((size, axis) => size === shape[axis])) return before;
      this.#written.add(buffer);
      return new WebGpuStorage({ shape, dtype: tensor.dtype }, buffer, () => {});
    });
    return this.#outputs;
  }

  #ownBuffer(use: string, byteLength: number): DeviceBuffer {
    const { owner } = this.#options;
    return getOrMake(this.#own, `${use}: ${byteLength}`, () => this.#services.pool.allocate(byteLength, owner)).buffer;
  }
}
