import { DeviceError, DisposedError } from '../../checks/errors.ts';
import { symbolsOf } from '../../dim.ts';
import { byteSize, type HostArray, hostArray, isBlockFormat } from '../../dtype.ts';
import type { Executor, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/op.ts';
import { MemoryAccount, type MemoryReport } from '../../report/memory.ts';
import { type ConcreteType, evaluateShape, type Shape, sizeOf } from '../../shape.ts';
import { convertGraph, isLoweredToOnnx } from './convert.ts';
import { type EncodedModel, encodeModel } from './model.ts';
import { OnnxProgram, type OnnxServices } from './program.ts';
import { messageOf, type OnnxRuntime, type RuntimeSession } from './runtime.ts';
import { OnnxStorage, type Reservation } from './storage.ts';

export interface OnnxExecutorOptions {
  readonly runtime: OnnxRuntime;
  readonly threads: number;
  readonly memoryBudget?: number;
  readonly debug?: boolean;
}

/**
 * Runs graphs on ONNX Runtime: a graph becomes a model with one session, whatever the sizes of its symbolic dimensions.
 *
 * Values are arrays on the host that the runtime reads in place. Updates of variables are written by TypeScript after the
 * run, so a model outputs only what is new. The runtime's own memory is not known and not reported.
 */
export class OnnxExecutor implements Executor, OnnxServices {
  readonly name = 'onnx';
  readonly description: string;
  readonly debug: boolean;
  /** Of empty values FusedMatMul leaves its result as it found it, Where and Attention fail (1.30). */
  readonly tracesEmptyApart = true;
  readonly runtime: OnnxRuntime;
  readonly #account: MemoryAccount;
  readonly #threads: number;
  readonly #storages = new Set<OnnxStorage>();
  readonly #programs = new Set<OnnxProgram>();
  #sessionCount = 0;
  #disposed = false;
  #pending = 0;
  #tail: Promise<unknown> = Promise.resolve();

  constructor({ runtime, threads, memoryBudget, debug }: OnnxExecutorOptions) {
    this.runtime = runtime;
    this.debug = debug ?? false;
    this.#account = new MemoryAccount(memoryBudget, debug);
    this.#threads = threads;
    const version = runtime.env?.versions?.common;
    this.description = `ONNX Runtime${version ? ` ${version}` : ''}, CPU, ${threads} thread${threads === 1 ? '' : 's'}`;
  }

  /** Sessions that were created so far. */
  get sessionCount(): number {
    return this.#sessionCount;
  }

  lowers(node: Node): boolean {
    return isLoweredToOnnx(node);
  }

  create(type: ConcreteType, owner: string, data?: HostArray): OnnxStorage {
    const reservation = this.reserve(type, owner);
    return reservation.fill(data ? data.slice() : hostArray(type.dtype, sizeOf(type.shape)));
  }
  /** Accounts for bytes before there is an array, so that what the budget refuses is never made. */
  reserve(type: ConcreteType, owner: string): Reservation {
    this.#assertOpen('create');
    const release = this.#account.take(sizeOf(type.shape) * byteSize[type.dtype], owner);
    return {
      release,
      fill: (data) => {
        const storage = new OnnxStorage(type, data, () => {
          this.#storages.delete(storage);
          release();
        });
        this.#storages.add(storage);
        return storage;
      },
    };
  }
  write(storage: Storage, data: HostArray, offset = 0): void {
    (storage as OnnxStorage).data.set(data, offset);
  }
  copy(storage: Storage, owner: string): Storage {
    return this.create(storage.type, owner, (storage as OnnxStorage).data);
  }
  async read(storage: Storage): Promise<HostArray> {
    return (storage as OnnxStorage).data.slice();
  }
  peek(storage: Storage, count: number): HostArray | undefined {
    const { type, data } = storage as OnnxStorage;
    return isBlockFormat(type.dtype) ? undefined : data.slice(0, count);
  }

  async compile(
    graph: Graph,
    { owner, ownOutputs }: { readonly owner: string; readonly ownOutputs: boolean },
  ): Promise<OnnxProgram> {
    this.#assertOpen('compile');
    // a single realization feeds frozen variables too: a copy of the weights in each such program would add up
    const conversion = convertGraph(graph, { bakes: ({ frozen }) => frozen && !ownOutputs });
    const release = this.#account.take(conversion.bakedBytes, owner);
    try {
      const { nodes } = conversion.model;
      const session =
        nodes.length > 0 ? await this.#createSession(graph, owner, encodeModel(conversion.model)) : undefined;
      const onDispose = () => {
        this.#programs.delete(program);
        release();
      };
      const program = new OnnxProgram({ services: this, graph, conversion, session, owner, ownOutputs, onDispose });
      this.#programs.add(program);
      return program;
    } catch (error) {
      release();
      throw error;
    }
  }

  async #createSession(graph: Graph, owner: string, { bytes, externalData }: EncodedModel): Promise<RuntimeSession> {
    try {
      const session = await this.runtime.InferenceSession.create(bytes, {
        executionProviders: ['cpu'],
        intraOpNumThreads: isSmall(graph) ? 1 : this.#threads,
        interOpNumThreads: 1,
        graphOptimizationLevel: 'all',
        logSeverityLevel: 4, // errors are thrown
        ...(externalData.length > 0 ? { externalData } : {}),
      });
      this.#sessionCount++;
      return session;
    } catch (cause) {
      throw new DeviceError(`onnx: the runtime refuses a graph of ${owner}: ${messageOf(cause)}`, { cause });
    }
  }

  /** Runs a task when those before it are done: runs read arrays in place and write variables behind. */
  inOrder<T>(task: () => Promise<T>): Promise<T> {
    const start = this.#pending === 0 ? task() : this.#tail.then(task);
    this.#pending++;
    const done = () => {
      this.#pending--;
    };
    this.#tail = start.then(done, done);
    return start;
  }

  memory(): MemoryReport {
    return this.#account.report();
  }

  async dispose(): Promise<void> {
    this.#disposed = true;
    await this.#tail;
    for (const program of this.#programs) program.dispose();
    for (const storage of this.#storages) storage.dispose();
  }

  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the onnx executor was disposed of`);
  }
}

/**
 * Whether no value of a graph is large enough for a second thread to help. Every session has threads of its own, whose
 * start takes ten times as long as all else of a small session.
 */
function isSmall({ inputs, constants, variables, nodes }: Graph): boolean {
  const tensors = [...inputs, ...constants, ...variables, ...nodes.flatMap((node) => node.outputs)];
  return tensors.every(({ shape }) => largestSize(shape) < 2 ** 16);
}

/** Number of values where every symbolic dimension is at its bound. */
function largestSize(shape: Shape): number {
  const bounds = Object.fromEntries(shape.flatMap(symbolsOf).map(({ name, bound }) => [name, bound]));
  return sizeOf(evaluateShape(shape, bounds));
}
