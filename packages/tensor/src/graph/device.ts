import { calledAs } from '../checks/called-as.ts';
import { checkArguments, checkTensorsOf } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { ArgumentError, DisposedError } from '../checks/errors.ts';
import type { Dim } from '../dim.ts';
import type { DType, HostArray } from '../dtype.ts';
import { checkType, type HostData, parseData, type TensorOptions } from '../host-data.ts';
import type { HeldAllocation, MemoryReport } from '../report/memory.ts';
import type { ConcreteType, Shape } from '../shape.ts';
import { CallQueue } from './call-queue.ts';
import { tensorKinds, variableKinds, variableOfPartsKinds, zeroVariableKinds } from './device-options.ts';
import { EagerPrograms } from './eager-programs.ts';
import type { Executor, Storage } from './executor.ts';
import { Identities } from './identities.ts';
import { Lifetimes, type Own } from './lifetimes.ts';
import { dataOp } from './op.ts';
import { showAsText } from './print-tensor.ts';
import { recordOn } from './record.ts';
import { Remembered } from './remembered.ts';
import type { Tensor } from './tensor.ts';
import type { TensorOperations } from './tensor-operations.ts';
import { checkUpdates, type Update, Variable } from './variable.ts';
import { writeParts } from './write-parts.ts';

/**
 * Where tensors live and are computed: an executor with the ways to make tensors. Open one with `openReference`,
 * `openOnnx` or `openWebGpu`; who opens it disposes of it, which frees everything on it.
 */
export class Device implements AsyncDisposable {
  /** What compiles and runs its programs. */
  readonly executor: Executor;
  /** The functions behind its and its tensors' methods. @internal */
  readonly operations: TensorOperations;
  /** Which of its tensors hold values. @internal */
  readonly lifetimes: Lifetimes = new Lifetimes();
  /** Values that reads computed on the way. @internal */
  readonly remembered: Remembered = new Remembered((task) => this.afterCalls(task));
  readonly #programs: EagerPrograms;
  readonly #calls = new CallQueue();
  readonly #identities = new Identities();
  #hasWarned = false;
  #reads = 0;
  #readsDone: (() => void) | undefined;
  #disposal: Promise<void> | undefined;

  /** Devices are opened, or made by `createDevice`. @internal */
  constructor(executor: Executor, operations: TensorOperations) {
    this.executor = executor;
    this.operations = operations;
    this.#programs = new EagerPrograms(executor, (task) => this.enqueue(task));
  }

  /** The executor's name: 'reference', 'onnx', 'webgpu'. */
  get name(): string {
    return this.executor.name;
  }
  /** Hardware and driver, for people. */
  get description(): string {
    return this.executor.description;
  }
  /** A line for people: name, description, and whether it was disposed of. */
  toString(): string {
    return `Device ${this.name} (${this.description})${this.#disposal ? ', disposed of' : ''}`;
  }
  static {
    showAsText(Device.prototype);
  }

  /** A tensor with a copy of `data`, owned by the caller. @throws ShapeError, DTypeError, OutOfMemoryError */
  tensor(data: HostData, options: TensorOptions = {}): Tensor {
    this.assertOpen('tensor');
    checkOptions('tensor', options, tensorKinds);
    const parsed = parseData(data, options);
    return this.adopt(this.executor.create({ shape: parsed.shape, dtype: parsed.dtype }, 'tensors', parsed.data));
  }
  /**
   * A named tensor that can be updated, with a copy of `data`, owned by the caller.
   * @throws ShapeError, DTypeError, OutOfMemoryError; ArgumentError for an option that it does not have
   */
  variable(
    data: HostData,
    options: TensorOptions & { readonly name?: string; readonly frozen?: boolean; readonly owner?: string } = {},
  ): Variable {
    this.assertOpen('variable');
    checkOptions('variable', options, variableKinds);
    const { data: values, shape, dtype } = calledAs('variable', () => parseData(data, options));
    return this.#newVariable({ shape, dtype }, options, values);
  }
  /** A variable of zeros, made without a copy on the host, owned by the caller. @throws ShapeError, DTypeError, OutOfMemoryError */
  zeroVariable(
    shape: readonly number[],
    options: { readonly dtype?: DType; readonly name?: string; readonly owner?: string } = {},
  ): Variable {
    this.assertOpen('zeroVariable');
    checkOptions('zeroVariable', options, zeroVariableKinds);
    const dtype = options.dtype ?? 'f32';
    checkType('zeroVariable', shape, dtype);
    return this.#newVariable({ shape, dtype }, options);
  }
  /**
   * A variable whose values come in parts, which are never on the host all at once. Owned by the caller.
   *
   * @param parts host arrays of the dtype, one after the other in row-major order; of block formats the bytes of a multiple of sixteen
   *   blocks, but for the last one
   * @throws ShapeError where they are not as many as the shape has; DTypeError, OutOfMemoryError, or what `parts` throws. Then nothing
   *   is left on the device
   */
  async variableOfParts(
    parts: AsyncIterable<HostArray>,
    options: {
      readonly shape: readonly number[];
      readonly dtype: DType;
      readonly name?: string;
      readonly owner?: string;
      readonly frozen?: boolean;
    },
  ): Promise<Variable> {
    this.assertOpen('variableOfParts');
    checkArguments('variableOfParts', 'iterable', { parts });
    checkOptions('variableOfParts', options, variableOfPartsKinds);
    const { shape, dtype } = options;
    checkType('variableOfParts', shape, dtype);
    const variable = this.#newVariable({ shape, dtype }, options);
    try {
      await writeParts(variable, parts);
      return variable;
    } catch (error) {
      variable.dispose();
      throw error;
    }
  }
  #newVariable(
    type: ConcreteType,
    { name = 'variable', owner = 'variables', frozen = false }: { name?: string; owner?: string; frozen?: boolean },
    data?: HostArray,
  ): Variable {
    return new Variable(this, name, type, this.executor.create(type, owner, data), frozen);
  }

  /** A tensor of one value everywhere; recorded, not allocated. @throws ShapeError; DTypeError for what the dtype cannot hold */
  full(shape: Shape, value: number, dtype: DType = 'f32'): Tensor {
    return this.operations.full(this, shape, value, dtype);
  }
  /** A tensor of zeros; recorded, not allocated. @throws ShapeError */
  zeros(shape: Shape, dtype: DType = 'f32'): Tensor {
    return calledAs('zeros', () => this.operations.full(this, shape, 0, dtype));
  }
  /** A tensor of ones; recorded, not allocated. @throws ShapeError */
  ones(shape: Shape, dtype: DType = 'f32'): Tensor {
    return calledAs('ones', () => this.operations.full(this, shape, 1, dtype));
  }
  /** The whole numbers 0, 1, ... length - 1, as `[length]`. @throws ShapeError, DTypeError */
  arange(length: Dim, dtype: DType = 'i32'): Tensor {
    return this.operations.arange(this, length, dtype);
  }

  /**
   * Computes tensors together and keeps their values on the device, owned by the handles, which it gives back; then applies
   * `updates`. @throws ArgumentError for those of other devices
   */
  async realize<const T extends readonly Tensor[]>(tensors: T, updates: readonly Update[] = []): Promise<T> {
    checkArguments('realize', 'list', { tensors, updates });
    checkUpdates('realize', updates);
    checkTensorsOf('realize', this, [...tensors, ...updates.map(({ variable }) => variable)]);
    for (const tensor of tensors) tensor.assertUsable('realize');
    for (const tensor of tensors) tensor.settle();
    const open = [...new Set(tensors.filter(({ storage }) => !storage))];
    if (open.length === 0 && updates.length === 0) return tensors;
    const storages = await this.remembered.computeWith(this.#programs, open, updates);
    open.forEach((tensor, i) => {
      tensor.hold(storages[i]!);
    });
    return tensors;
  }

  /**
   * Runs `fn` and frees the values that tensors came to hold meanwhile, apart from those that it gives: tensors of nested arrays
   * and plain objects, and what these are still to be computed from. Variables stay. What an asynchronous `fn` gives is realized.
   *
   * In browsers, which do not tell what belongs to which call, an asynchronous `fn` hands what it makes after its first `await` to
   * `own`: `const y = own(await x.mul(2).realize())`.
   * @throws what `fn` throws; what it made until then is freed
   */
  tidy<T>(fn: (own: Own) => T): T {
    checkArguments('tidy', 'function', { fn });
    return this.lifetimes.tidy(fn, (tensors) => this.realize(tensors));
  }

  /**
   * Values on the host; what had to be computed for it is freed again.
   * @throws ArgumentError for a tensor of another device; DisposedError, OutOfMemoryError, DeviceLostError
   */
  async read(tensor: Tensor): Promise<HostArray> {
    checkTensorsOf('read', this, [tensor]);
    this.#reads++;
    try {
      if (tensor.storage) {
        const remembered = tensor.isRemembered ? tensor.storage : undefined;
        // the copy is taken in order, the wait for it holds up no call
        const { values } = await this.enqueue(() => {
          if (!remembered) tensor.assertUsable('data');
          return { values: this.executor.read(remembered ?? tensor.storage!) };
        });
        return await values;
      }
      const [storage] = await this.remembered.computeWith(this.#programs, [tensor], []);
      try {
        return await this.executor.read(storage!);
      } finally {
        storage!.dispose();
      }
    } finally {
      this.#reads--;
      if (this.#reads === 0) this.#readsDone?.();
    }
  }

  /** A tensor of its own with the values of another. @internal */
  clone(tensor: Tensor): Tensor {
    checkTensorsOf('clone', this, [tensor]);
    tensor.assertUsable('clone');
    return tensor.storage
      ? this.adopt(this.executor.copy(tensor.storage, 'tensors'))
      : this.operations.identity(tensor);
  }

  /** A tensor that holds `storage`: its own, or one that it borrows. @internal */
  adopt(storage: Storage, borrowed = false): Tensor {
    const tensor = recordOn(this, dataOp, [], storage.type)[0]!;
    tensor.hold(storage, borrowed);
    return tensor;
  }

  /**
   * Sends the work of several runs to the device as one where it can (WebGPU, where each submission costs the host), for runs that
   * follow each other at once: up to the next read, or to the end of the task. Order and results are the same.
   * @throws what `task` throws
   */
  async submitTogether<T>(task: () => Promise<T>): Promise<T> {
    const release = this.executor.hold?.();
    try {
      return await task();
    } finally {
      release?.();
    }
  }

  /** Runs tasks one after the other in the order of the calls; at once where none is waiting. @internal */
  enqueue<T>(task: () => T | Promise<T>): Promise<T> {
    return this.#calls.enqueue(task);
  }

  /** Does what waits for nothing: at once where no call is under way, otherwise behind those that are. @internal */
  afterCalls(task: () => void): void {
    this.#calls.after(task);
  }

  /** A number that stays with an object: which variable, which constant a program is for. */
  identify(value: object): number {
    return this.#identities.of(value);
  }

  /**
   * Frees the programs of past realizations, which are kept for the next equal one, and values that reads have kept.
   * What live tensors still need is computed again when it is asked for.
   * @throws DeviceLostError
   */
  trim(): Promise<void> {
    this.remembered.clear();
    return this.enqueue(() => this.#programs.clear());
  }

  /** Bytes that are held now, the most that were, and by whom. */
  memory(): MemoryReport {
    return this.executor.memory();
  }

  /**
   * What nobody has disposed of yet, oldest first, with the calls that allocated it. Frees the device's own kept programs
   * first, so that what is left is the caller's.
   * @throws ArgumentError on a device that was opened without `debug`
   */
  async leaks(): Promise<readonly HeldAllocation[]> {
    this.assertOpen('leaks');
    await this.trim();
    const { allocations } = this.memory();
    if (!allocations) throw new ArgumentError('leaks: open the device with debug: true to have allocations noted');
    return allocations;
  }

  /** The first hint of a device is printed. @internal */
  warnOnce(message: string): void {
    if (!this.#hasWarned) console.warn(`heddle: ${message}`);
    this.#hasWarned = true;
  }

  /** @throws DisposedError */
  assertOpen(operation: string): void {
    if (this.#disposal) throw new DisposedError(`${operation}: the ${this.name} device was disposed of`);
  }

  /** Frees everything on the device after the work under way, reads too. Idempotent. */
  dispose(): Promise<void> {
    this.#disposal ??= this.#end();
    return this.#disposal;
  }
  async #end(): Promise<void> {
    await this.#calls.done;
    if (this.#reads > 0)
      await new Promise<void>((resolve) => {
        this.#readsDone = resolve;
      });
    this.#programs.clear();
    await this.executor.dispose();
  }
  /** As `dispose`, for `await using`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }
}
