import { type Dim, evaluateDim, type SymbolValues } from '../../dim.ts';
import type { HostArray } from '../../dtype.ts';
import { DisposedError, ShapeError } from '../../errors.ts';
import type { KernelTime, Program, Storage } from '../../executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { evaluateShape, formatShape, sizeOf } from '../../shape.ts';
import type { RunBuffers } from './bind-groups.ts';
import type { DeviceBuffer } from './buffers.ts';
import { explainPlan } from './explain.ts';
import { getOrMake } from './get-or-make.ts';
import { OwnBuffers } from './own-buffers.ts';
import { Plan } from './plan.ts';
import { boundOf, bucketIndex, bucketOf } from './planning/buckets.ts';
import { Fusion } from './planning/fusion.ts';
import { bufferBytes } from './planning/memory-plan.ts';
import { Schedule } from './planning/units.ts';
import { profilePlan } from './profile.ts';
import type { DeviceServices } from './services.ts';
import { toDevice, WebGpuStorage } from './storage.ts';
import { Uploads, uploadBytes } from './uploads.ts';

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
  readonly #uploads = new Map<Plan, Uploads>();
  readonly #inputSizes: readonly Dim[];
  /** For inputs that come from the host, or that have to be copied. */
  readonly #ownInputs: readonly OwnBuffers[];
  readonly #ownOutputs: readonly OwnBuffers[];
  /** Buffers of the variables that a run changes. */
  readonly #changed: ReadonlySet<DeviceBuffer>;
  /** What the last run gave, for the next one of the same sizes. */
  #outputs: { readonly plan: Plan; readonly sizes: readonly number[]; readonly storages: WebGpuStorage[] } | undefined;
  #disposed = false;

  constructor(graph: Graph, options: ProgramOptions, services: DeviceServices) {
    this.#graph = graph;
    this.#options = options;
    this.#services = services;
    const { capabilities, pool } = services;
    const { fuse, owner } = options;
    const fusion = new Fusion(graph, { fuse, maxStorageBuffers: capabilities.maxStorageBuffers });
    const bucket = bucketOf(graph.symbols, boundsOf(graph));
    this.#schedule = new Schedule(graph, fusion, { capabilities, bound: (dim) => boundOf(dim, bucket) });
    this.#inputSizes = graph.inputs.map(({ shape }) => sizeOf(shape));
    this.#ownInputs = graph.inputs.map(() => new OwnBuffers(pool, owner));
    this.#ownOutputs = options.ownOutputs ? [] : graph.outputs.map(() => new OwnBuffers(pool, owner));
    this.#changed = new Set(graph.updates.map(({ variable }) => (variable.storage as WebGpuStorage).buffer));
  }

  get kernelCount(): number {
    const plan = [...this.#plans.values()].at(-1) ?? this.#planOf(boundsOf(this.#graph));
    return plan.steps.length;
  }

  async prepare(symbols: SymbolValues): Promise<void> {
    const plan = this.#planOf(symbols);
    if (!plan.isReady) this.#reserve(plan);
    await plan.prepare(this.#options.owner);
    // a compiled function may be given host values, a single realization is given tensors
    if (!this.#options.ownOutputs) this.#uploadsOf(plan);
    this.#graph.outputs.forEach((tensor, i) => {
      this.#ownOutputs[i]?.ofSize(plan.bytesOf(tensor));
    });
  }

  /** Asks the budget for everything that a plan will allocate, so that it is refused before any of it is. */
  #reserve(plan: Plan): void {
    const { pool, arena } = this.#services;
    const { inputs, outputs } = this.#graph;
    let bytes = arena.missing(plan.memory.slots) + plan.parameterBytes;
    outputs.forEach((tensor, i) => {
      bytes += this.#ownOutputs[i]?.missing(plan.bytesOf(tensor)) ?? 0;
    });
    if (!this.#options.ownOutputs) bytes += uploadBytes(inputs.map((tensor) => plan.bytesOf(tensor)));
    pool.take(bytes, this.#options.owner)();
  }

  run(
    inputs: readonly (Storage | HostArray)[],
    symbols: SymbolValues,
  ): readonly Storage[] | Promise<readonly Storage[]> {
    if (this.#disposed) throw new DisposedError(`${this.#options.owner}: the program was disposed of`);
    const plan = this.#planOf(symbols);
    if (plan.isReady) return this.#submit(plan, inputs, symbols);
    return this.prepare(symbols).then(() => this.#submit(plan, inputs, symbols));
  }

  async profile(inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): Promise<readonly KernelTime[]> {
    const { device, health } = this.#services;
    const plan = this.#planOf(symbols);
    await this.prepare(symbols);
    const timed = profilePlan(device, plan.steps, (encoder, queries) => {
      const { buffers } = this.#bind(plan, inputs, symbols, encoder);
      plan.encodeTimed(encoder, buffers, symbols, queries);
    });
    return health.orFailure(timed);
  }

  plannedBytes(symbols: SymbolValues): { readonly peak: number; readonly sum: number } {
    const plan = this.#planOf(symbols);
    const outputs = this.#graph.outputs.reduce((sum, tensor) => sum + plan.bytesOf(tensor), 0);
    const arena = plan.memory.slots.reduce((sum, bytes) => sum + bytes, 0);
    return { peak: arena + outputs, sum: plan.memory.sum + outputs };
  }

  explain(): string {
    if (this.#plans.size === 0) this.#planOf(boundsOf(this.#graph));
    return [...this.#plans.values()].map(explainPlan).join('\n\n');
  }

  dispose(): void {
    this.#disposed = true;
    for (const plan of this.#plans.values()) plan.dispose();
    this.#plans.clear();
    for (const uploads of this.#uploads.values()) uploads.dispose();
    this.#uploads.clear();
    for (const buffers of [...this.#ownInputs, ...this.#ownOutputs]) buffers.dispose();
  }

  #planOf(symbols: SymbolValues): Plan {
    return getOrMake(
      this.#plans,
      bucketIndex(this.#graph.symbols, symbols),
      () => new Plan(this.#schedule, bucketOf(this.#graph.symbols, symbols), this.#services),
    );
  }

  #submit(plan: Plan, inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): readonly Storage[] {
    const { device, health } = this.#services;
    health.assertWorks();
    const encoder = device.createCommandEncoder();
    const { buffers, outputs } = this.#bind(plan, inputs, symbols, encoder);
    plan.encode(encoder, buffers, symbols);
    health.submit(encoder);
    return outputs;
  }

  /** Brings the inputs to the device and finds the outputs of a run. */
  #bind(
    plan: Plan,
    inputs: readonly (Storage | HostArray)[],
    symbols: SymbolValues,
    encoder: GPUCommandEncoder,
  ): { readonly buffers: RunBuffers; readonly outputs: readonly WebGpuStorage[] } {
    inputs.forEach((input, i) => {
      this.#checkInput(input, i, symbols);
    });
    const outputs = this.#options.ownOutputs ? this.#freshOutputs(symbols) : this.#planOutputs(plan, symbols);
    const uploads = inputs.some((input) => ArrayBuffer.isView(input)) ? this.#uploadsOf(plan) : undefined;
    const buffers = {
      inputs: inputs.map((input, i) => this.#inputBuffer(plan, input, i, encoder, uploads)),
      outputs: outputs.map(({ buffer }) => buffer),
    };
    uploads?.send(this.#services.device.queue);
    return { buffers, outputs };
  }

  #checkInput(input: Storage | HostArray, index: number, symbols: SymbolValues): void {
    if (!ArrayBuffer.isView(input) || input.length === evaluateDim(this.#inputSizes[index]!, symbols)) return;
    const shape = evaluateShape(this.#graph.inputs[index]!.shape, symbols);
    throw new ShapeError(
      `${this.#options.owner}: input ${index} takes values of ${formatShape(shape)}, got ${input.length}`,
    );
  }

  #uploadsOf(plan: Plan): Uploads {
    return getOrMake(this.#uploads, plan, () => {
      const byteLengths = this.#graph.inputs.map((tensor) => plan.bytesOf(tensor));
      return new Uploads(this.#services.pool, this.#options.owner, byteLengths);
    });
  }

  #inputBuffer(
    plan: Plan,
    input: Storage | HostArray,
    index: number,
    encoder: GPUCommandEncoder,
    uploads: Uploads | undefined,
  ): DeviceBuffer {
    const own = this.#ownInputs[index]!;
    if (ArrayBuffer.isView(input)) {
      const tensor = this.#graph.inputs[index]!;
      const data = toDevice(tensor.dtype, input);
      const slot = uploads?.put(index, data);
      if (slot) return slot;
      const buffer = own.ofSize(plan.bytesOf(tensor));
      this.#services.device.queue.writeBuffer(buffer.gpu, 0, data);
      return buffer;
    }
    const { buffer } = input as WebGpuStorage;
    if (!this.#changed.has(buffer) && !this.#ownOutputs.some((outputs) => outputs.has(buffer))) return buffer;
    // the run writes over what it is given: it reads a copy
    const copy = own.ofSize(buffer.byteLength);
    encoder.copyBufferToBuffer(buffer.gpu, 0, copy.gpu, 0, buffer.byteLength);
    return copy;
  }

  #freshOutputs(symbols: SymbolValues): readonly WebGpuStorage[] {
    const made: WebGpuStorage[] = [];
    try {
      for (const { shape, dtype } of this.#graph.outputs) {
        const type = { shape: evaluateShape(shape, symbols), dtype };
        const { buffer, release } = this.#services.pool.allocate(bufferBytes(dtype, sizeOf(type.shape)), 'tensors');
        made.push(new WebGpuStorage(type, buffer, release));
      }
    } catch (refusal) {
      for (const storage of made) storage.dispose();
      throw refusal;
    }
    return made;
  }

  /** The program's own: the same storages as in the last run where the sizes are the same. */
  #planOutputs(plan: Plan, symbols: SymbolValues): readonly WebGpuStorage[] {
    const { outputs, symbols: names } = this.#graph;
    const last = this.#outputs;
    if (last?.plan === plan && names.every(({ name }, i) => symbols[name] === last.sizes[i])) return last.storages;
    const storages = outputs.map((tensor, i) => {
      const type = { shape: evaluateShape(tensor.shape, symbols), dtype: tensor.dtype };
      return new WebGpuStorage(type, this.#ownOutputs[i]!.ofSize(plan.bytesOf(tensor)), () => {});
    });
    this.#outputs = { plan, sizes: names.map(({ name }) => symbols[name]!), storages };
    return storages;
  }
}

function boundsOf({ symbols }: Graph): SymbolValues {
  return Object.fromEntries(symbols.map(({ name, bound }) => [name, bound]));
}
