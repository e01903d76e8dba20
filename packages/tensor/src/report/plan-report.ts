/** A buffer that a kernel reads or writes. */
export interface BufferUse {
  /** `#2` is the third buffer that intermediates share, `input 0` and `output 0` are what they say, variables have names. */
  readonly name: string;
  /** dtype and shape, for example `f32[T,16]`. */
  readonly type: string;
  readonly byteLength: number;
}

/** One kernel of a plan, at the largest sizes that the plan serves. */
export interface KernelReport {
  readonly kernel: string;
  readonly workgroups: readonly [number, number, number];
  readonly writes: readonly BufferUse[];
  readonly reads: readonly BufferUse[];
  /** Bytes that it has to move between memory and the processor: what it reads and writes, each value once. */
  readonly bytes: number;
  /** Arithmetic operations, a multiply-add counted as two; undefined where the kernel's author does not say. */
  readonly flops: number | undefined;
  /** Bytes of intermediates that are alive while it runs. */
  readonly live: number;
}

/** Bytes that a plan takes on its device beyond arguments, weights and variables. */
export interface PlanMemory {
  /** All of it: what a budget has to have room for. */
  readonly total: number;
  /** Intermediates, in buffers that all plans of the device share. */
  readonly activations: number;
  readonly outputs: number;
  /** Small arguments that come from the host. */
  readonly inputs: number;
  /** Sizes that kernels read. */
  readonly parameters: number;
  /** Intermediates if each had a buffer of its own. */
  readonly activationsWithoutReuse: number;
  /** Bytes of each buffer that intermediates share. */
  readonly buffers: readonly number[];
}

/** What a plan does and needs, known before it runs and before anything is allocated. */
export interface PlanReport {
  /** The sizes that it serves: `T<=32 B<=4`; empty where they are fixed. */
  readonly sizes: string;
  /** In the order in which they run. */
  readonly kernels: readonly KernelReport[];
  readonly memory: PlanMemory;
}

/** What `tune` measured for one class of shapes. */
export interface TuningResult {
  /** Operation, dtypes and sizes. */
  readonly shapeClass: string;
  /** What plans take from now on. */
  readonly choice: string;
  /** What they take without having measured. */
  readonly preferred: string;
  /** Time of each choice on the device. */
  readonly microseconds: Readonly<Record<string, number>>;
}

/** What one kernel of a run took on the device. */
export interface KernelTime {
  readonly kernel: string;
  readonly microseconds: number;
  /** Bytes that it had to move, at the sizes of the run. */
  readonly bytes: number;
  /** Arithmetic operations at the sizes of the run; undefined where the kernel's author does not say. */
  readonly flops: number | undefined;
}
