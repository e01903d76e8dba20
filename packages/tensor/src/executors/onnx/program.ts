import { DeviceError, DisposedError } from '../../checks/errors.ts';
import type { SymbolValues } from '../../dim.ts';
import type { HostArray } from '../../dtype.ts';
import type { Program, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type ConcreteType, evaluateShape, sizeOf } from '../../shape.ts';
import type { Conversion } from './convert.ts';
import { explainModel } from './explain.ts';
import { Feeds } from './feeds.ts';
import { messageOf, type OnnxRuntime, type RuntimeSession, type RuntimeTensor } from './runtime.ts';
import { arrayOf, type RunValues, type Source } from './source.ts';
import type { OnnxStorage, Reservation } from './storage.ts';
import { applyUpdates, type UpdatePlan } from './updates.ts';

/** What programs need of their executor. */
export interface OnnxServices {
  readonly runtime: OnnxRuntime;
  /** Runs a task when those before it are done. */
  inOrder<T>(task: () => Promise<T>): Promise<T>;
  /** Accounts for the bytes of an array that comes later. @throws OutOfMemoryError */
  reserve(type: ConcreteType, owner: string): Reservation;
}

export interface OnnxProgramOptions {
  readonly services: OnnxServices;
  readonly graph: Graph;
  readonly conversion: Conversion;
  /** None where the graph has no nodes: everything that it gives or writes is on the host already. */
  readonly session: RuntimeSession | undefined;
  readonly owner: string;
  readonly ownOutputs: boolean;
  readonly onDispose: () => void;
}

/** An output of a graph, and whether the array that a run finds may be kept, or has to be copied. */
interface OutputPlan {
  readonly source: Source;
  readonly keep: boolean;
}

/** A graph with the session that runs it. */
export class OnnxProgram implements Program {
  readonly #options: OnnxProgramOptions;
  readonly #feeds: Feeds;
  readonly #outputs: readonly OutputPlan[];
  readonly #updates: readonly UpdatePlan[];
  #types: readonly ConcreteType[] = [];
  /** Outputs of the run before, if they are the program's. */
  #previous: readonly OnnxStorage[] = [];
  #running = false;
  #disposed = false;

  constructor(options: OnnxProgramOptions) {
    this.#options = options;
    const { services, graph, conversion } = options;
    this.#feeds = new Feeds(services.runtime, graph, conversion);
    // the first to take a computed array keeps it, others copy it; what was not computed is somebody else's
    const taken = new Set<Tensor>();
    const take = (tensor: Tensor): OutputPlan => {
      const source = conversion.sourceOf(tensor);
      const keep = source.kind === 'result' && !taken.has(tensor);
      taken.add(tensor);
      return { source, keep };
    };
    this.#outputs = graph.outputs.map(take);
    this.#updates = graph.updates.map(({ variable, value, rows }) => {
      if (rows) {
        const source = conversion.sourceOf;
        return { variable, value: source(value), rows: source(rows), keep: false };
      }
      const { source, keep } = take(value);
      return { variable, value: source, rows: undefined, keep };
    });
  }

  get kernelCount(): number {
    return this.#options.conversion.model.nodes.length;
  }

  run(inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): Promise<readonly Storage[]> {
    return this.#options.services.inOrder(() => this.#run(inputs, symbols));
  }

  async #run(inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): Promise<readonly Storage[]> {
    const { graph, session, owner, ownOutputs } = this.#options;
    if (this.#disposed) throw new DisposedError(`onnx: a program of ${owner} ran after it was disposed of`);
    if (this.#feeds.resize(symbols))
      this.#types = graph.outputs.map(({ shape, dtype }) => ({ shape: evaluateShape(shape, symbols), dtype }));
    const feeds = this.#feeds.bind(inputs);
    for (const old of this.#previous) if (!inputs.includes(old)) old.dispose();
    const reserved = this.#reserve();
    this.#running = true;
    try {
      const values = { inputs, results: session ? await this.#compute(session, feeds) : {} };
      const arrays = this.#outputs.map((output, i) => this.#output(output, this.#types[i]!, values));
      applyUpdates(this.#updates, values);
      for (const old of this.#previous) old.dispose();
      const outputs = reserved.map((reservation, i) => reservation.fill(arrays[i]!));
      if (!ownOutputs) this.#previous = outputs;
      return outputs;
    } catch (error) {
      for (const reservation of reserved) reservation.release();
      throw error;
    } finally {
      this.#running = false;
      if (this.#disposed) this.#free();
    }
  }

  /** Accounts for the outputs, all or none. */
  #reserve(): readonly Reservation[] {
    const { services, owner, ownOutputs } = this.#options;
    const reserved: Reservation[] = [];
    try {
      for (const type of this.#types) reserved.push(services.reserve(type, ownOutputs ? 'tensors' : owner));
      return reserved;
    } catch (error) {
      for (const reservation of reserved) reservation.release();
      throw error;
    }
  }

  async #compute(
    session: RuntimeSession,
    feeds: Readonly<Record<string, RuntimeTensor>>,
  ): Promise<Readonly<Record<string, RuntimeTensor>>> {
    try {
      return await session.run(feeds);
    } catch (cause) {
      throw new DeviceError(`onnx: a run of ${this.#options.owner} failed: ${messageOf(cause)}`, { cause });
    }
  }

  #output({ source, keep }: OutputPlan, type: ConcreteType, values: RunValues): HostArray {
    const data = arrayOf(source, values);
    if (data.length !== sizeOf(type.shape))
      throw new DeviceError(
        `${source.tensor.node.op.name}: the ONNX lowering gave ${data.length} values, expected [${type.shape.join(', ')}]`,
      );
    return keep ? data : data.slice();
  }

  /** Nothing to do: a session is ready when it is created. */
  async prepare(): Promise<void> {}

  explain(): string {
    return explainModel(this.#options.conversion.model);
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    if (!this.#running) this.#free();
    this.#options.onDispose();
  }

  #free(): void {
    for (const output of this.#previous) output.dispose();
    this.#previous = [];
    // the runtime frees the session within the call; that it fails later has nobody left to tell
    this.#options.session?.release().catch(() => undefined);
  }
}
