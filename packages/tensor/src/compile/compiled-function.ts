import type { SymbolValues } from '../dim.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Update } from '../graph/variable.ts';
import type { KernelTime, PlanReport, TuningResult } from '../report/plan-report.ts';
import type { Fed, InputSpec } from './input-spec.ts';
import type { WarmProgress } from './warm.ts';

/** Arguments of a compiled function: wherever the function takes a tensor, a tensor or host values. */
export type FedArguments<T> = T extends Tensor ? Fed : T extends object ? { [K in keyof T]: FedArguments<T[K]> } : T;
/** Results of a compiled function: tensors, and nothing where the function returned updates. */
export type Results<T> = T extends Tensor
  ? Tensor
  : T extends Update
    ? undefined
    : T extends object
      ? { [K in keyof T]: Results<T[K]> }
      : T;
type Specs<T> = T extends Tensor ? InputSpec : T extends object ? { [K in keyof T]: Specs<T[K]> } : T;

/** Where a compiled function runs, what its arguments will be, and what it may take. */
export interface CompileOptions<A extends readonly unknown[]> {
  /** Where it runs; by default the device of the first tensor among the arguments. */
  readonly device?: Device;
  /**
   * What the arguments will be. With it the function is traced once, sizes may be symbolic (names), and host values may be given (ONNX
   * Runtime: once more where a named size is 0); without it, once for each combination of shapes and dtypes that comes.
   */
  readonly inputs?: Specs<A>;
  /** The largest size of each symbolic dimension. */
  readonly symbols?: Readonly<Record<string, number>>;
  /** For errors, memory reports and profiles. */
  readonly name?: string;
  /**
   * Arguments, by index, whose tensors each call consumes: they are disposed of, and WebGPU plans of fixed sizes keep
   * intermediates in their memory. Variables cannot be given away.
   */
  readonly donate?: readonly number[];
  /**
   * The most bytes that a plan may take beyond arguments, weights and variables. One that would take more is refused before
   * anything is allocated. Needs a device that knows (WebGPU).
   */
  readonly memoryBudget?: number;
  /**
   * Whether one plan, made for the bounds of the symbolic dimensions, computes runs of all sizes; by default there is one for every
   * power of two, with kernels for that size. Where operations compute each row by itself, its values are then the same to the
   * last bit whatever the number of rows. Small runs take longer. Only WebGPU chooses by size. Needs `inputs`.
   */
  readonly onePlan?: boolean;
}

/** What to prepare ahead. */
export interface WarmOptions {
  /** Sizes of the symbolic dimensions, each of which stands for its bucket. */
  readonly buckets?: readonly SymbolValues[];
  readonly onProgress?: (progress: WarmProgress) => void;
}

/** A function that runs as replayed plans. */
export interface CompiledFunction<A extends readonly unknown[], R> {
  /**
   * Runs a plan for these arguments, compiled at the first call. Outputs belong to the plan: its next run makes them stale,
   * and use then throws; `clone()` keeps one. Where the next call does not wait for them, they are copied and the caller's own.
   * Calls take effect in their order.
   * @throws ShapeError, DTypeError, ArgumentError for arguments that do not fit; OutOfMemoryError before anything is allocated
   */
  (...args: FedArguments<A>): Promise<Results<R>>;
  /**
   * The same, with the sizes of symbolic dimensions that no argument shows.
   * @throws as a call; ArgumentError for a name that is no dimension
   */
  run(args: FedArguments<A>, options: { readonly symbols: SymbolValues }): Promise<Results<R>>;
  /**
   * Runs once with every kernel timed by itself on the device, in microseconds. Updates happen, earlier outputs go stale.
   * @throws DeviceError where the device cannot time its kernels
   */
  profile(args: FedArguments<A>, options?: { readonly symbols?: SymbolValues }): Promise<readonly KernelTime[]>;
  /**
   * Compiles and allocates ahead for these sizes. Needs `options.inputs`.
   * @throws ArgumentError without `options.inputs`; OutOfMemoryError
   */
  prepare(symbols?: SymbolValues): Promise<void>;
  /**
   * Prepares several sizes side by side, by default every bucket of the symbolic dimensions (powers of two up to their bounds, in
   * every combination), and tells how many kernels are compiled. Needs `options.inputs`.
   * @throws ArgumentError without `options.inputs`; OutOfMemoryError
   */
  warm(options?: WarmOptions): Promise<void>;
  /**
   * Measures the kernels between which there is a choice (tiles of products) on this device with values of the sizes given,
   * by default each symbolic dimension at its bound, and takes the fastest from then on; what the device's `tuning` knows is not
   * measured again. Earlier outputs go stale. Nothing to do on devices without such choices. Needs `options.inputs`.
   * @throws DeviceError where the device cannot time its kernels
   */
  tune(options?: Pick<WarmOptions, 'buckets'>): Promise<readonly TuningResult[]>;
  /**
   * What a plan does and takes: kernels with what they move and compute, memory over time. Known before anything is
   * allocated. Dimensions that are not named are at their bounds. Needs `options.inputs`, or a call before.
   * @throws DeviceError where the device does not say (ONNX Runtime)
   */
  report(symbols?: SymbolValues): Promise<PlanReport>;
  /** The plans so far as text: kernels, what they move and compute, memory over time. `PERFORMANCE.md` says how to read it. */
  explain(): string;
  /** Kernels (WebGPU), operators (ONNX) or operations (reference) of the last traced signature, once compiled. */
  kernelCount(): number | undefined;
  /** Bytes that a run takes beyond arguments, weights and variables; undefined before compilation or where a runtime does not say. */
  plannedBytes(symbols?: SymbolValues): { readonly peak: number; readonly sum: number } | undefined;
  /** Frees the plans; outputs become stale. Idempotent. */
  dispose(): void;
}
