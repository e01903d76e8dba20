import type { Dim } from '../dim.ts';
import type { TensorType } from '../shape.ts';
import type { Node } from './op.ts';
import type { Tensor } from './tensor.ts';

/** What kernels may count on, of the adapter and the features that were switched on. */
export interface WebGpuCapabilities {
  readonly shaderF16: boolean;
  /** Whether `enable subgroups` works. Sizes differ between adapters and may differ between kernels: never take 32. */
  readonly subgroups: boolean;
  /** Whether the builtin values `subgroup_id` and `num_subgroups` are there. */
  readonly subgroupId: boolean;
  readonly subgroupMinSize: number;
  readonly subgroupMaxSize: number;
  /** Shapes of `subgroup_matrix` products that the adapter has; empty without the feature. */
  readonly subgroupMatrices: readonly {
    readonly M: number;
    readonly N: number;
    readonly K: number;
    readonly componentType: string;
    readonly resultComponentType: string;
  }[];
  readonly maxWorkgroupStorageBytes: number;
  /** Invocations of a workgroup. */
  readonly maxInvocations: number;
  /** Storage buffers that one kernel may bind. */
  readonly maxStorageBuffers: number;
  /** Bytes of a storage buffer that one binding may reach; the executor binds larger buffers in parts. */
  readonly maxBindingBytes: number;
}

/** WGSL functions that are at hand for every kernel (`prelude.ts` has them). */
export type PreludeFunction =
  | 'nan_value'
  | 'infinity_value'
  | 'safe_div'
  | 'is_nan'
  | 'are_numbers'
  | 'safe_max'
  | 'safe_min'
  | 'pack_halves'
  | 'round_f16'
  | 'safe_sign'
  | 'safe_exp'
  | 'safe_exp4'
  | 'safe_log'
  | 'gumbel_of_bits'
  | 'safe_sin'
  | 'safe_cos'
  | 'turned'
  | 'safe_tanh'
  | 'safe_pow'
  | 'safe_remainder'
  | 'lowered_squares'
  | 'unpack2xbf16'
  | 'pack2xbf16'
  | 'round_bf16'
  | 'block_bytes'
  | 'fp4_levels'
  | 'e8m0_half'
  | 'q4_k_factors';

/**
 * What these are called in the text that is being written. A text gets those that were asked for here, so what calls one must
 * take its name from here.
 */
export type Prelude = Readonly<Record<PreludeFunction, string>>;

/** Builds the WGSL expression of one output value. Coordinates are `u32` expressions, one per axis. */
export interface PointwiseContext<A> {
  readonly attributes: A;
  readonly inputs: readonly TensorType[];
  readonly output: TensorType;
  /** Name of the value of input `index` at `coordinates` (f32 for floats, u32 for u32 and bool as 0 or 1, i32 for i32). Must be in range. */
  read(index: number, coordinates: readonly string[]): string;
  /** A size as a `u32` expression. */
  dim(dim: Dim): string;
  /** Binds an expression to a name, so that it is computed once. */
  let(expression: string): string;
  /** Functions that may be called. */
  readonly prelude: Prelude;
}

/** Which values a kernel reads or writes. */
export type KernelBufferSource =
  | { readonly input: number }
  /** A tensor of the graph that an input is computed from, of those that are `readable`. */
  | { readonly of: Tensor }
  | {
      readonly output: number;
      /**
       * Promises that the kernel sets every value of this output exactly once, by its `set` functions alone, and never
       * reads it: elementwise consumers are then computed inside of them, and the buffer may get another dtype.
       */
      readonly epilogue?: boolean;
    }
  | { readonly scratch: string; readonly type: TensorType; readonly access: 'read' | 'write' };

/** A storage buffer of a kernel: an input or output of the node, or scratch memory of the kernel sequence. */
export type KernelBuffer = {
  /** What the kernel calls it; `kernel-source.ts` says which functions a buffer has. */
  readonly name: string;
  /**
   * 4 declares the buffer as vectors of four, so that `at4` is one load and `set4` one store. 8 is for f16 with
   * shader-f16: `array<vec4<u32>>`, eight halves an element, which `subgroupMatrixLoad` takes too. Default 1.
   */
  readonly vector?: 1 | 4 | 8;
} & KernelBufferSource;

/** Built-in values that the entry point of a kernel may take. */
export type KernelBuiltin =
  | 'workgroup_id'
  | 'num_workgroups'
  | 'local_invocation_index'
  | 'subgroup_id'
  | 'num_subgroups'
  | 'subgroup_invocation_id';

/** An array in the memory of a workgroup; without a length one value. */
export interface WorkgroupArray {
  readonly type:
    | 'f32'
    | 'i32'
    | 'u32'
    | 'vec2<f32>'
    | 'vec2<u32>'
    | 'vec4<f32>'
    | 'vec4<u32>'
    | 'atomic<i32>'
    | 'atomic<u32>';
  readonly length?: number;
}

/**
 * What the text of a kernel calls its buffers, sizes and functions. The text takes every such name from here, so that several
 * kernels can become one without a clash. A name that the kernel does not declare is an error.
 */
export interface KernelNames {
  /** Functions by buffer: `at(i)` reads value i, `at2(k)` pair k, `at4(k)` values 4k to 4k + 3. */
  readonly at: Readonly<Record<string, string>>;
  readonly at2: Readonly<Record<string, string>>;
  readonly at4: Readonly<Record<string, string>>;
  /** Functions by buffer: `set(i, v)`, `set2(k, v)`, `set4(k, v)`. */
  readonly set: Readonly<Record<string, string>>;
  readonly set2: Readonly<Record<string, string>>;
  readonly set4: Readonly<Record<string, string>>;
  /** The array of a buffer itself. */
  readonly array: Readonly<Record<string, string>>;
  /** Sizes by parameter, u32. */
  readonly size: Readonly<Record<string, string>>;
  /** What stands in the memory of the workgroup. */
  readonly shared: Readonly<Record<string, string>>;
  /** Functions, structures, constants and private variables of the kernel's own, where it may share a dispatch. */
  readonly own: Readonly<Record<string, string>>;
  /** Functions that are at hand for every kernel: not of finite numbers alone, in few bits, of block formats. */
  readonly prelude: Prelude;
}

/** The WGSL of a kernel. */
export interface KernelBody {
  /** What stands outside of the entry point: functions, structures, constants. */
  readonly functions?: string;
  /** The statements of the entry point. */
  readonly main: string;
}

/**
 * One dispatch. A kernel is data: its entry point, its buffers, the memory of its workgroups, and the text that is written with
 * the names it is given.
 */
export interface KernelCall {
  readonly label: string;
  /** In the order of their bindings; the executor writes the declarations (see `kernel-source.ts`). */
  readonly buffers: readonly KernelBuffer[];
  /** Sizes, u32. */
  readonly parameters: Readonly<Record<string, Dim>>;
  /** Extensions to `enable` beyond what the buffers need ('subgroups', 'f16', ...). */
  readonly requires?: readonly string[];
  /** Arithmetic operations of the dispatch, a multiply-add counted as two; for reports. */
  readonly flops?: Dim;
  /** Bytes that the dispatch reads and writes, where that is not each of its buffers once; for reports. */
  readonly bytes?: Dim;
  /** Workgroups along x, y and z for the sizes of a run, each at most 65,535: see `spreadWorkgroups`. */
  workgroups(size: (dim: Dim) => number): readonly [number, number, number];
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** What `main` calls the built-in values that it takes; by default `w` workgroup_id, `n` num_workgroups, `l` local_invocation_index. */
  readonly builtins?: Readonly<Record<string, KernelBuiltin>>;
  /** What stands in the memory of the workgroup. */
  readonly workgroup?: Readonly<Record<string, WorkgroupArray>>;
  write(names: KernelNames): KernelBody;
  /**
   * One of the `companions`, of which the kernel has the values too: it gives them as a third argument (`vec4`) to each call of
   * `set4` of the output that takes an epilogue, and calls no other `set`.
   */
  readonly also?: Tensor;
  /**
   * Promises that workgroups beyond those of `workgroups` do nothing, as their number is all that the kernel takes of them (see
   * `spreadWorkgroups`). Small kernels that do not depend on each other then share a dispatch.
   */
  readonly ignoresExtraWorkgroups?: boolean;
}

/** What a lowering to kernels sees of one application. */
export interface KernelContext<A> {
  readonly node: Node<A>;
  readonly attributes: A;
  readonly inputs: readonly TensorType[];
  readonly outputs: readonly TensorType[];
  readonly capabilities: WebGpuCapabilities;
  /** The most that a size can be in this plan (the bucket, not the run's value). */
  bound(dim: Dim): number;
  /**
   * Whether a tensor that an input is computed from lies in a buffer, so that the kernel may read it in place of the input and
   * compute that itself. What nobody reads then is not computed.
   */
  readable(tensor: Tensor): boolean;
  /**
   * Results of other operations with kernels that the epilogue goes on with, beside this one's, and nothing that stands between
   * them and the epilogue but elementwise operations: a kernel may compute one of them too (see `also`).
   */
  readonly companions: readonly Tensor[];
  /**
   * One of several right ways to compute this, by name: what `tune()` found to be fastest on this adapter, otherwise
   * `preferred`. Asked at most once, with names that depend on the node and the capabilities alone.
   */
  choose(names: readonly string[], preferred: string): string;
}

/** How the WebGPU executor computes an operation. */
export type WebGpuLowering<A> =
  /** Value by value from the inputs' values at the same (broadcast) place; fuses with its neighbours. */
  | { expression(values: readonly string[], attributes: A, node: Node<A>, prelude: Prelude): string }
  /** Value by value from any place of the inputs (movement, gathering, generation); fuses with its neighbours. */
  | {
      at(context: PointwiseContext<A>, coordinates: readonly string[]): string;
      /** The output is the one input's values in their row-major order: it shares the input's buffer. */
      readonly keepsOrder?: boolean;
    }
  /** Over `attributes.axes` (ascending) with or without `attributes.keepDims`; fuses with what computes its input. */
  | {
      readonly reduce: {
        readonly identity: string;
        combine(a: string, b: string, type: 'f32' | 'i32' | 'u32', prelude: Prelude): string;
      };
    }
  /** Kernels of its own. */
  | {
      supports?(node: Node<A>, capabilities: WebGpuCapabilities): boolean;
      kernels(context: KernelContext<A>): readonly KernelCall[];
    };
