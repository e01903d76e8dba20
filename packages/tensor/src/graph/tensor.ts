/// <reference lib="esnext.disposable" preserve="true" />
import { describe } from '../checks/describe.ts';
import { ArgumentError, DisposedError, HeddleError, ShapeError } from '../checks/errors.ts';
import type { DType, HostArray, HostArrays } from '../dtype.ts';
import { checkReadable, type NestedNumbers, nestedValues, readAs } from '../host-data.ts';
import { formatShape, type Shape, type TensorType } from '../shape.ts';
import type { Device } from './device.ts';
import type { Storage } from './executor.ts';
import type { Scope } from './lifetimes.ts';
import { dataOp, type Node, variableOp } from './op.ts';
import { printTensor, showAsText } from './print-tensor.ts';
import { TensorMethods } from './tensor-methods.ts';

/**
 * An immutable handle on a value of the lazy graph.
 *
 * Operations only record. `data()` computes and copies the values to the host, keeping nothing on the device;
 * `realize()` computes and keeps them on the device, owned by this handle until `dispose()`. Inputs of an operation are
 * never consumed. Operations that are methods too are the functions of their names, which say what they take.
 */
export class Tensor extends TensorMethods implements TensorType, Disposable {
  /** Where it is computed, and its values live. */
  readonly device: Device;
  /** Its sizes, the outermost first: numbers, or symbolic dimensions. */
  readonly shape: Shape;
  /** What its values are stored as. */
  readonly dtype: DType;
  #node: Node;
  /** Which output of its node this is. */
  readonly outputIndex: number;
  #storage: Storage | undefined;
  #borrowed = false;
  #unusable: 'disposed' | 'stale' | undefined;
  #history: Node | undefined;
  #isRemembered = false;
  readonly #scope: Scope | undefined;
  /** How often operations were recorded on it. @internal */
  uses = 0;
  /** How many reads of its device came before it. @internal */
  readonly epoch: number;
  /** Whether it is a leaf by now of which nobody knows how it was computed. @internal */
  isCutOff = false;
  /** Whether an operation was recorded on it after a later read. @internal */
  outlivedRead = false;

  /** Tensors are made by devices and operations. */
  constructor(device: Device, node: Node, outputIndex: number, type: TensorType) {
    super();
    this.device = device;
    this.#node = node;
    this.outputIndex = outputIndex;
    this.shape = type.shape;
    this.dtype = type.dtype;
    this.#scope = device.lifetimes.scope;
    this.epoch = device.remembered.epoch;
  }

  /** The application of an operation that this is a result of. */
  get node(): Node {
    return this.#node;
  }
  /** The values on the device, where they are there. */
  get storage(): Storage | undefined {
    return this.#storage;
  }
  /** How a leaf was computed before it was realized: for saying that a gradient does not go through it. */
  get history(): Node | undefined {
    return this.#history;
  }
  /** How many sizes it has. */
  get rank(): number {
    return this.shape.length;
  }

  /** Computes the values and copies them to the host, row-major; f16 as bits, bool as 0 and 1. Keeps nothing on the device. */
  data(): Promise<HostArray>;
  /**
   * Computes the values and copies them to the host, row-major, into an array for `dtype`: this tensor's own, or f32 of f16 and bf16
   * tensors. Keeps nothing on the device.
   * @throws DTypeError for any other
   */
  data<D extends DType>(dtype: D): Promise<HostArrays[D]>;
  async data(dtype?: DType): Promise<HostArray> {
    this.assertUsable('data');
    if (dtype !== undefined) checkReadable(this.dtype, dtype);
    const values = await this.device.read(this);
    return dtype === undefined ? values : readAs(this.dtype, values, dtype);
  }
  /** The single value of a tensor of one element, as a number. @throws ShapeError for a tensor of more values */
  async item(): Promise<number> {
    if (this.shape.some((dim) => dim !== 1))
      throw new ShapeError(`item: takes a tensor of one value, got ${formatShape(this.shape)}`);
    return Number(nestedValues(this.dtype, await this.data(), []));
  }
  /**
   * Computes the values and gives them as nested arrays of numbers or booleans; a scalar as itself.
   * @throws DTypeError for a block format
   */
  async toArray(): Promise<NestedNumbers> {
    const data = await this.data();
    return nestedValues(this.dtype, data, this.shape as readonly number[]);
  }
  /** A line for people: dtype, shape, device, and the first values where they are on the host. Computes nothing. */
  override toString(): string {
    return printTensor(this, this.#node.op.name === 'variable' ? 'Variable' : 'Tensor', this.#unusable);
  }
  static {
    showAsText(Tensor.prototype);
  }
  /**
   * Computes the values and keeps them on the device; the handle owns them, and is a constant to gradients from then on.
   * @throws OutOfMemoryError, DeviceLostError; DisposedError after `dispose`
   */
  async realize(): Promise<this> {
    await this.device.realize([this]);
    return this;
  }
  /**
   * A tensor of its own with the same values on another device (or the same one), owned by the caller. The values go by way of
   * the host.
   * @throws ArgumentError for what is no device; DisposedError for one that is gone
   */
  async to(device: Device): Promise<Tensor> {
    if (typeof device?.tensor !== 'function') throw new ArgumentError(`to: takes a device, got ${describe(device)}`);
    device.assertOpen('to');
    return device.tensor(await this.data(), { shape: this.shape as readonly number[], dtype: this.dtype });
  }
  /**
   * A tensor of its own with the same values: for outputs of compiled functions, which their next run overwrites.
   * @throws DisposedError
   */
  clone(): Tensor {
    this.assertUsable('clone');
    return this.device.clone(this);
  }
  /** Frees the values on the device, if this handle holds any. Idempotent; later use throws `DisposedError`. */
  dispose(): void {
    if (this.#unusable === undefined) this.#unusable = 'disposed';
    if (this.#storage && !this.#borrowed) {
      this.device.lifetimes.end(this);
      this.#storage.dispose();
    }
    this.#storage = undefined;
    this.#history = undefined;
  }
  /** As `dispose`, for `using`. */
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Makes this handle a leaf that holds `storage`; a borrowed one belongs to somebody else. Where it was computed or disposed
   * of in the meantime, its own storage is freed. For devices.
   * @internal
   */
  hold(storage: Storage, borrowed = false): void {
    if (this.#storage || this.#unusable) {
      if (!borrowed) storage.dispose();
      return;
    }
    this.#storage = storage;
    this.#borrowed = borrowed;
    if (!borrowed) this.#own(storage);
    this.#becomeLeaf();
  }
  #own(storage: Storage): void {
    this.device.lifetimes.begin(this, storage);
    if (this.#node.op !== variableOp) this.#scope?.add(this);
  }
  #becomeLeaf(): void {
    if (this.#node.inputs.length > 0) {
      this.#history = this.#node;
      this.#node = {
        op: dataOp,
        inputs: [],
        attributes: { shape: this.shape, dtype: this.dtype },
        outputs: [this],
      } as Node;
    }
  }
  /** Keeps values that were computed on the way to others, and can be again: to gradients it stays what it is. @internal */
  remember(storage: Storage): void {
    if (this.#storage || this.#unusable) {
      storage.dispose();
      return;
    }
    this.#storage = storage;
    this.#isRemembered = true;
    this.#own(storage);
  }
  /** Whether its values are only remembered, and may be forgotten. @internal */
  get isRemembered(): boolean {
    return this.#isRemembered;
  }
  /** What is remembered is owned like what was realized. @internal */
  settle(): void {
    if (!this.#isRemembered) return;
    this.#isRemembered = false;
    this.#becomeLeaf();
  }
  /** The same, without a trace of what it was computed from: so that this can be collected. @internal */
  cutOff(): void {
    this.settle();
    this.#history = undefined;
    this.isCutOff = true;
  }
  /** Lets go of remembered values, which the caller disposes of. @internal */
  forget(): Storage | undefined {
    if (!this.#isRemembered) return undefined;
    const storage = this.#storage;
    this.#isRemembered = false;
    this.#storage = undefined;
    this.device.lifetimes.end(this);
    return storage;
  }
  /** Holds a copy of its own of what it borrowed. @internal */
  keepCopy(storage: Storage): void {
    this.#storage = storage;
    this.#borrowed = false;
    this.#own(storage);
  }
  /** Lets go of storage that somebody else owns and overwrites now. For compiled functions. @internal */
  expire(): void {
    if (this.#unusable === undefined) this.#unusable = 'stale';
    this.#storage = undefined;
  }
  /** Whether it was neither disposed of nor overwritten. @internal */
  get isUsable(): boolean {
    return this.#unusable === undefined;
  }
  /** @throws DisposedError, or a stale error where a later run of its plan has overwritten it */
  assertUsable(operation: string): void {
    if (this.#unusable === 'disposed') throw new DisposedError(`${operation}: the tensor was disposed of`);
    if (this.#unusable === 'stale')
      throw new HeddleError(
        'ERR_STALE',
        `${operation}: a later run of its compiled function overwrote this tensor; clone() keeps one`,
      );
    this.device.assertOpen(operation);
  }
}
