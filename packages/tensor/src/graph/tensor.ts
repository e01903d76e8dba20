import type { Dim } from '../dim.ts';
import type { DType, HostArray } from '../dtype.ts';
import { DisposedError, HeddleError } from '../errors.ts';
import type { Shape, TensorType } from '../shape.ts';
import type { Device } from './device.ts';
import type { Storage } from './executor.ts';
import { dataOp, type Node } from './op.ts';
import type { MatmulOptions, Operand, TensorOperations } from './tensor-operations.ts';

type Axes = number | readonly number[];

/**
 * An immutable handle on a value of the lazy graph.
 *
 * Operations only record. `data()` computes and copies the values to the host, keeping nothing on the device;
 * `realize()` computes and keeps them on the device, owned by this handle until `dispose()`. Inputs of an operation are
 * never consumed. Operations that are methods too are the functions of their names, which say what they take.
 */
export class Tensor implements TensorType, Disposable {
  readonly device: Device;
  readonly shape: Shape;
  readonly dtype: DType;
  #node: Node;
  /** Which output of its node this is. */
  readonly outputIndex: number;
  #storage: Storage | undefined;
  #borrowed = false;
  #unusable: 'disposed' | 'stale' | undefined;
  #history: Node | undefined;

  /** Tensors are made by devices and operations. */
  constructor(device: Device, node: Node, outputIndex: number, type: TensorType) {
    this.device = device;
    this.#node = node;
    this.outputIndex = outputIndex;
    this.shape = type.shape;
    this.dtype = type.dtype;
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
  get rank(): number {
    return this.shape.length;
  }

  /** Computes the values and copies them to the host, row-major; f16 as bits, bool as 0 and 1. Keeps nothing on the device. */
  async data(): Promise<HostArray> {
    this.assertUsable('data');
    return this.device.read(this);
  }
  /** The single value of a tensor of one element, as a number. */
  async item(): Promise<number> {
    return this.device.readNumber(this);
  }
  /** Computes the values and keeps them on the device; the handle owns them, and is a constant to gradients from then on. */
  async realize(): Promise<this> {
    await this.device.realize([this]);
    return this;
  }
  /** A tensor of its own with the same values: for outputs of compiled functions, which their next run overwrites. */
  clone(): Tensor {
    this.assertUsable('clone');
    return this.device.clone(this);
  }
  /** Frees the values on the device, if this handle holds any. Idempotent; later use throws `DisposedError`. */
  dispose(): void {
    if (this.#unusable === undefined) this.#unusable = 'disposed';
    if (!this.#borrowed) this.#storage?.dispose();
    this.#storage = undefined;
    this.#history = undefined;
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  /**
   * Makes this handle a leaf that holds `storage`; a borrowed one belongs to somebody else. Where it was computed or disposed
   * of in the meantime, its own storage is freed. For devices.
   */
  hold(storage: Storage, borrowed = false): void {
    if (this.#storage || this.#unusable) {
      if (!borrowed) storage.dispose();
      return;
    }
    this.#storage = storage;
    this.#borrowed = borrowed;
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
  /** Lets go of storage that somebody else owns and overwrites now. For compiled functions. */
  expire(): void {
    if (this.#unusable === undefined) this.#unusable = 'stale';
    this.#storage = undefined;
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

  get #operations(): TensorOperations {
    return this.device.operations;
  }

  add(other: Operand): Tensor {
    return this.#operations.add(this, other);
  }
  sub(other: Operand): Tensor {
    return this.#operations.sub(this, other);
  }
  mul(other: Operand): Tensor {
    return this.#operations.mul(this, other);
  }
  div(other: Operand): Tensor {
    return this.#operations.div(this, other);
  }
  pow(other: Operand): Tensor {
    return this.#operations.pow(this, other);
  }
  maximum(other: Operand): Tensor {
    return this.#operations.maximum(this, other);
  }
  minimum(other: Operand): Tensor {
    return this.#operations.minimum(this, other);
  }
  equal(other: Operand): Tensor {
    return this.#operations.equal(this, other);
  }
  less(other: Operand): Tensor {
    return this.#operations.less(this, other);
  }
  lessEqual(other: Operand): Tensor {
    return this.#operations.lessEqual(this, other);
  }
  greater(other: Operand): Tensor {
    return this.#operations.greater(this, other);
  }
  greaterEqual(other: Operand): Tensor {
    return this.#operations.greaterEqual(this, other);
  }
  and(other: Operand): Tensor {
    return this.#operations.and(this, other);
  }
  or(other: Operand): Tensor {
    return this.#operations.or(this, other);
  }
  not(): Tensor {
    return this.#operations.not(this);
  }
  neg(): Tensor {
    return this.#operations.neg(this);
  }
  abs(): Tensor {
    return this.#operations.abs(this);
  }
  exp(): Tensor {
    return this.#operations.exp(this);
  }
  log(): Tensor {
    return this.#operations.log(this);
  }
  sqrt(): Tensor {
    return this.#operations.sqrt(this);
  }
  rsqrt(): Tensor {
    return this.#operations.rsqrt(this);
  }
  sin(): Tensor {
    return this.#operations.sin(this);
  }
  cos(): Tensor {
    return this.#operations.cos(this);
  }
  tanh(): Tensor {
    return this.#operations.tanh(this);
  }
  sigmoid(): Tensor {
    return this.#operations.sigmoid(this);
  }
  floor(): Tensor {
    return this.#operations.floor(this);
  }
  round(): Tensor {
    return this.#operations.round(this);
  }
  clip(low?: number, high?: number): Tensor {
    return this.#operations.clip(this, low, high);
  }
  relu(): Tensor {
    return this.#operations.relu(this);
  }
  gelu(options?: { readonly approximate?: 'none' | 'tanh' }): Tensor {
    return this.#operations.gelu(this, options);
  }
  cast(dtype: DType): Tensor {
    return this.#operations.cast(this, dtype);
  }
  sum(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.#operations.sum(this, axes, options);
  }
  mean(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.#operations.mean(this, axes, options);
  }
  max(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.#operations.max(this, axes, options);
  }
  min(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.#operations.min(this, axes, options);
  }
  prod(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.#operations.prod(this, axes, options);
  }
  variance(axes?: Axes, options?: { readonly keepDims?: boolean; readonly correction?: number }): Tensor {
    return this.#operations.variance(this, axes, options);
  }
  argmax(axis: number): Tensor {
    return this.#operations.argmax(this, axis);
  }
  argmin(axis: number): Tensor {
    return this.#operations.argmin(this, axis);
  }
  cumsum(axis: number): Tensor {
    return this.#operations.cumsum(this, axis);
  }
  softmax(axis = -1): Tensor {
    return this.#operations.softmax(this, axis);
  }
  matmul(other: Tensor, options?: MatmulOptions): Tensor {
    return this.#operations.matmul(this, other, options);
  }
  reshape(shape: readonly Dim[]): Tensor {
    return this.#operations.reshape(this, shape);
  }
  flatten(): Tensor {
    return this.#operations.flatten(this);
  }
  permute(axes: readonly number[]): Tensor {
    return this.#operations.permute(this, axes);
  }
  transpose(axisA = -2, axisB = -1): Tensor {
    return this.#operations.transpose(this, axisA, axisB);
  }
  expand(shape: Shape): Tensor {
    return this.#operations.expand(this, shape);
  }
  squeeze(axes?: Axes): Tensor {
    return this.#operations.squeeze(this, axes);
  }
  unsqueeze(axis: number): Tensor {
    return this.#operations.unsqueeze(this, axis);
  }
  flip(axes?: Axes): Tensor {
    return this.#operations.flip(this, axes);
  }
  take(indices: Tensor, axis = 0): Tensor {
    return this.#operations.take(this, indices, axis);
  }
  slice(axis: number, start: Dim, end?: Dim, step?: number): Tensor {
    return this.#operations.slice(this, axis, start, end, step);
  }
}
