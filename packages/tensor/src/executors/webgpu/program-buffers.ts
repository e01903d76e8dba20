import { ShapeError } from '../../checks/errors.ts';
import { type Dim, evaluateDim, type SymbolValues, symbolsOf } from '../../dim.ts';
import type { HostArray } from '../../dtype.ts';
import type { CompileTarget, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import { evaluateShape, formatShape, sizeOf } from '../../shape.ts';
import type { RunBuffers } from './bind-groups.ts';
import type { CommandRecorder } from './command-recorder.ts';
import { getOrMake } from './get-or-make.ts';
import { bufferBytes } from './memory/buffer-bytes.ts';
import type { DeviceBuffer } from './memory/buffers.ts';
import { OwnBuffers } from './memory/own-buffers.ts';
import { toDevice, WebGpuStorage } from './memory/storage.ts';
import { Uploads, uploadBytes } from './memory/uploads.ts';
import type { Plan } from './plan.ts';
import type { DeviceServices } from './services.ts';

/** The program keeps its outputs. No closure of a run: its scope would hold the outputs of the run before, and so on. */
const keep = (): void => {};

/** What a run is given: storages, or host values. */
export type RunInputs = readonly (Storage | HostArray)[];

/** The buffers that a program's runs read and write: inputs that come from the host or have to be copied, and outputs. */
export class ProgramBuffers {
  readonly #graph: Graph;
  readonly #target: CompileTarget;
  readonly #services: DeviceServices;
  readonly #donated: ReadonlySet<number>;
  readonly #uploads = new Map<Plan, Uploads>();
  readonly #inputSizes: readonly Dim[];
  /** The symbolic dimensions on which sizes of outputs depend. */
  readonly #outputNames: readonly string[];
  readonly #ownInputs: readonly OwnBuffers[];
  readonly #ownOutputs: readonly OwnBuffers[];
  /** Buffers of the variables that a run changes. */
  readonly #changed: ReadonlySet<DeviceBuffer>;
  /** The buffers of the run at hand: the same arrays in each. */
  readonly #bound: { readonly inputs: DeviceBuffer[]; readonly outputs: DeviceBuffer[] } = { inputs: [], outputs: [] };
  /** What the last run gave, for the next one of the same sizes. */
  #outputs: { readonly plan: Plan; readonly sizes: readonly number[]; readonly storages: WebGpuStorage[] } | undefined;

  constructor(graph: Graph, target: CompileTarget, services: DeviceServices) {
    this.#graph = graph;
    this.#target = target;
    this.#services = services;
    const { owner, ownOutputs, donated = [] } = target;
    this.#donated = new Set(donated);
    this.#inputSizes = graph.inputs.map(({ shape }) => sizeOf(shape));
    const ofOutputs = graph.outputs.flatMap(({ shape }) => shape.flatMap(symbolsOf));
    this.#outputNames = [...new Set(ofOutputs.map(({ name }) => name))];
    this.#ownInputs = graph.inputs.map(() => new OwnBuffers(services.pool, owner));
    this.#ownOutputs = ownOutputs ? [] : graph.outputs.map(() => new OwnBuffers(services.pool, owner));
    this.#changed = new Set(graph.updates.map(({ variable }) => (variable.storage as WebGpuStorage).buffer));
  }

  /** Bytes that runs of a plan take for outputs and for inputs from the host. */
  bytesFor(plan: Plan): { readonly outputs: number; readonly inputs: number } {
    const outputs = this.#graph.outputs.reduce((sum, tensor) => sum + plan.bytesOf(tensor), 0);
    return { outputs, inputs: this.#target.ownOutputs ? 0 : uploadBytes(this.#uploadSizes(plan)) };
  }

  /** The part of them that is not there yet. */
  missing(plan: Plan): number {
    const { outputs, inputs } = this.bytesFor(plan);
    const made = this.#graph.outputs.reduce(
      (sum, tensor, i) => sum + plan.bytesOf(tensor) - (this.#ownOutputs[i]?.missing(plan.bytesOf(tensor)) ?? 0),
      0,
    );
    return (this.#target.ownOutputs ? 0 : outputs - made) + (this.#uploads.has(plan) ? 0 : inputs);
  }

  /** Allocates what a run of the plan needs. @throws OutOfMemoryError before anything is allocated */
  prepare(plan: Plan): void {
    // a compiled function may be given host values, a single realization is given tensors
    if (!this.#target.ownOutputs) this.#uploadsOf(plan);
    this.#graph.outputs.forEach((tensor, i) => {
      this.#ownOutputs[i]?.ofSize(plan.bytesOf(tensor));
    });
  }

  /** The buffers of a run of a prepared plan that is given small host values; undefined where none may be. */
  expected(plan: Plan): RunBuffers | undefined {
    const uploads = this.#uploads.get(plan);
    const inputs = this.#graph.inputs.map((_, i) => uploads?.slotOf(i));
    if (!uploads || !inputs.every((slot) => slot !== undefined)) return undefined;
    return {
      inputs,
      outputs: this.#graph.outputs.map((tensor, i) => this.#ownOutputs[i]!.ofSize(plan.bytesOf(tensor))),
    };
  }

  /** Brings the inputs to the device and finds the outputs of a run. */
  bind(
    plan: Plan,
    inputs: RunInputs,
    symbols: SymbolValues,
    recorder: Pick<CommandRecorder, 'copies'>,
  ): { readonly buffers: RunBuffers; readonly outputs: readonly WebGpuStorage[] } {
    for (let i = 0; i < inputs.length; i++) this.#checkInput(inputs[i]!, i, symbols);
    let uploads: Uploads | undefined;
    const bound = this.#bound;
    for (let i = 0; i < inputs.length; i++) {
      const input = inputs[i]!;
      if (ArrayBuffer.isView(input)) uploads ??= this.#uploadsOf(plan);
      bound.inputs[i] = this.#inputBuffer(plan, input, i, recorder, uploads);
    }
    uploads?.send(this.#services.device.queue);
    const outputs = this.#target.ownOutputs ? this.#freshOutputs(symbols) : this.#planOutputs(plan, symbols);
    for (let i = 0; i < outputs.length; i++) bound.outputs[i] = outputs[i]!.buffer;
    return { buffers: bound, outputs };
  }

  /** Gives up what is a plan's alone. */
  forget(plan: Plan): void {
    this.#uploads.get(plan)?.dispose();
    this.#uploads.delete(plan);
  }

  dispose(): void {
    for (const uploads of this.#uploads.values()) uploads.dispose();
    this.#uploads.clear();
    for (const buffers of [...this.#ownInputs, ...this.#ownOutputs]) buffers.dispose();
  }

  #checkInput(input: Storage | HostArray, index: number, symbols: SymbolValues): void {
    if (!ArrayBuffer.isView(input) || input.length === evaluateDim(this.#inputSizes[index]!, symbols)) return;
    const shape = evaluateShape(this.#graph.inputs[index]!.shape, symbols);
    throw new ShapeError(
      `${this.#target.owner}: input ${index} takes values of ${formatShape(shape)}, got ${input.length}`,
    );
  }

  #uploadsOf(plan: Plan): Uploads {
    return getOrMake(
      this.#uploads,
      plan,
      () => new Uploads(this.#services.pool, this.#target.owner, this.#uploadSizes(plan)),
    );
  }

  /** Bytes of each input; none for a donated one, whose buffer a run writes over and which therefore shares no other's. */
  #uploadSizes(plan: Plan): (number | undefined)[] {
    return this.#graph.inputs.map((tensor, i) => (this.#donated.has(i) ? undefined : plan.bytesOf(tensor)));
  }

  #inputBuffer(
    plan: Plan,
    input: Storage | HostArray,
    index: number,
    recorder: Pick<CommandRecorder, 'copies'>,
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
    recorder.copies.copyBufferToBuffer(buffer.gpu, 0, copy.gpu, 0, buffer.byteLength);
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
    const { outputs } = this.#graph;
    const last = this.#outputs;
    const names = this.#outputNames;
    if (last?.plan === plan && names.every((name, i) => symbols[name] === last.sizes[i])) return last.storages;
    const storages = outputs.map((tensor, i) => {
      const type = { shape: evaluateShape(tensor.shape, symbols), dtype: tensor.dtype };
      return new WebGpuStorage(type, this.#ownOutputs[i]!.ofSize(plan.bytesOf(tensor)), keep);
    });
    this.#outputs = { plan, sizes: names.map((name) => symbols[name]!), storages };
    return storages;
  }
}
