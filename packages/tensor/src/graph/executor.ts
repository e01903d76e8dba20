import type { SymbolValues } from '../dim.ts';
import type { HostArray } from '../dtype.ts';
import type { MemoryReport } from '../report/memory.ts';
import type { KernelTime, PlanReport, TuningResult } from '../report/plan-report.ts';
import type { ConcreteType } from '../shape.ts';
import type { Graph } from './graph.ts';
import type { Node } from './op.ts';

/** Values on a device. Who created it disposes of it; `dispose` is idempotent. */
export interface Storage {
  readonly type: ConcreteType;
  readonly byteLength: number;
  /** Frees the values. Idempotent. */
  dispose(): void;
}

/**
 * What runs graphs: the whole of what a device must be able to do.
 *
 * Everything but `read`, `compile` and `run` is synchronous, and calls take effect in the order in which they are made.
 */
export interface Executor {
  /** 'reference', 'onnx', 'webgpu', or a name of one's own. */
  readonly name: string;
  /** The hardware and driver, for people. */
  readonly description: string;
  /** Whether runs are checked: indices out of range reject with `IndexError`. */
  readonly debug?: boolean;
  /**
   * Whether a function is traced once more for runs in which symbolic dimensions are 0, with 0 in their places: for runtimes that
   * refuse empty values, or are wrong about them.
   */
  readonly tracesEmptyApart?: boolean;
  /** Whether this executor has an implementation of its own for an application of an operation; if not, it is decomposed. */
  lowers(node: Node): boolean;
  /** Storage for `type` with a copy of `data`, or zeros. @throws OutOfMemoryError before anything is allocated */
  create(type: ConcreteType, owner: string, data?: HostArray): Storage;
  /** Overwrites values, from value `offset` on, with a copy of `data`. @throws DeviceLostError */
  write(storage: Storage, data: HostArray, offset?: number): void;
  /**
   * As `write`, with several arrays one after the other, that lie inside the storage: for executors that have a faster way; where it is missing, each is
   * written by itself.
   */
  writeParts?(storage: Storage, parts: readonly HostArray[], offset?: number): void;
  /** Storage of its own with the same values. */
  copy(storage: Storage, owner: string): Storage;
  /** The values as they are at the time of the call. @throws DeviceLostError, as a rejection */
  read(storage: Storage): Promise<HostArray>;
  /** The first `count` values where they are on the host, without waiting: for printing. Undefined where they are not. */
  peek?(storage: Storage, count: number): HostArray | undefined;
  /** Prepares a lowered graph. @throws OutOfMemoryError, DeviceLostError */
  compile(graph: Graph, target: CompileTarget): Promise<Program>;
  /** Holds work back until what it gives is called, or until something needs its results; missing where nothing is gained. */
  hold?(): () => void;
  /** Bytes that are held now, the most that were, and by whom. */
  memory(): MemoryReport;
  /** Frees everything that is left. Idempotent. */
  dispose(): Promise<void>;
}

/** Whom a program is for. */
export interface CompileTarget {
  /** Whom its memory is accounted to. */
  readonly owner: string;
  /** Whether each run gives storages that the caller owns; otherwise the program owns them. */
  readonly ownOutputs: boolean;
  /** Inputs, by index, that the caller gives up with each run: the program may write over them, and need not. */
  readonly donated?: readonly number[];
  /** The most bytes that a run may take beyond inputs, weights and variables: a program that has `report` refuses before. */
  readonly memoryBudget?: number | undefined;
  /** Whether runs of all sizes are computed by the kernels of the largest, where kernels are chosen by size. */
  readonly onePlan?: boolean | undefined;
}

/** A prepared graph. */
export interface Program {
  /**
   * Runs once, then applies the graph's updates. `inputs` are storages, or host values that the program copies in, in the
   * order of `graph.inputs`, with the sizes that `symbols` gives; the result is in the order of `graph.outputs`.
   * Synchronous where the executor can be (WebGPU returns when the work is submitted, not when it is done).
   */
  run(
    inputs: readonly (Storage | HostArray)[],
    symbols: SymbolValues,
  ): readonly Storage[] | Promise<readonly Storage[]>;
  /** Everything that a first run of these sizes has to do once (pipelines, buffers), so that the run itself does not wait. */
  prepare(symbols: SymbolValues, onKernel?: (done: number, total: number) => void): Promise<void>;
  /** What a run of these sizes does and takes, known before anything is allocated; missing where a runtime does not say. */
  report?(symbols: SymbolValues): PlanReport;
  /** The kernels or runtime operators and the memory, for people. */
  explain(): string;
  /** Runs once with every kernel timed by itself; missing where the device cannot. Updates are applied. */
  profile?(inputs: readonly (Storage | HostArray)[], symbols: SymbolValues): Promise<readonly KernelTime[]>;
  /** Measures the ways in which a run of these sizes could be computed, and takes the fastest; missing where there is one. */
  tune?(symbols: SymbolValues): Promise<readonly TuningResult[]>;
  /** Number of kernels (WebGPU), operators (ONNX) or operations (reference) of a run. */
  readonly kernelCount: number;
  /** Frees what it has on the device. Idempotent. */
  dispose(): void;
}
