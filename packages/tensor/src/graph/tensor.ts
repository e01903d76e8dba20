import type { Device } from '../device.ts';
import type { Dim } from '../dim.ts';
import type { DType, HostArray } from '../dtype.ts';
import { DisposedError, HeddleError } from '../errors.ts';
import type { Storage } from '../executor.ts';
import { gelu, relu } from '../ops/elementwise/activation.ts';
import { cast } from '../ops/elementwise/cast.ts';
import * as comparison from '../ops/elementwise/comparison.ts';
import type { Operand } from '../ops/elementwise/define-elementwise.ts';
import * as elementwise from '../ops/elementwise/elementwise.ts';
import { clip, round } from '../ops/elementwise/rounding.ts';
import { take } from '../ops/indexing/gather.ts';
import { type MatmulOptions, matmul } from '../ops/matmul/matmul.ts';
import { flip, squeeze, unsqueeze } from '../ops/movement/arrange.ts';
import { expand, flatten, permute, reshape, transpose } from '../ops/movement/movement.ts';
import { slice } from '../ops/movement/slice.ts';
import { cumsum } from '../ops/reduce/cumsum.ts';
import { argmax, argmin, max, min } from '../ops/reduce/extremum.ts';
import { prod } from '../ops/reduce/prod.ts';
import { mean, sum } from '../ops/reduce/reduce.ts';
import { variance } from '../ops/reduce/statistics.ts';
import { softmax } from '../ops/rows/softmax.ts';
import type { Shape, TensorType } from '../shape.ts';
import { dataOp, type Node } from './op.ts';

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
  data(): Promise<HostArray> {
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

  add(other: Operand): Tensor {
    return elementwise.add(this, other);
  }
  sub(other: Operand): Tensor {
    return elementwise.sub(this, other);
  }
  mul(other: Operand): Tensor {
    return elementwise.mul(this, other);
  }
  div(other: Operand): Tensor {
    return elementwise.div(this, other);
  }
  pow(other: Operand): Tensor {
    return elementwise.pow(this, other);
  }
  maximum(other: Operand): Tensor {
    return elementwise.maximum(this, other);
  }
  minimum(other: Operand): Tensor {
    return elementwise.minimum(this, other);
  }
  equal(other: Operand): Tensor {
    return comparison.equal(this, other);
  }
  less(other: Operand): Tensor {
    return comparison.less(this, other);
  }
  lessEqual(other: Operand): Tensor {
    return comparison.lessEqual(this, other);
  }
  greater(other: Operand): Tensor {
    return comparison.greater(this, other);
  }
  greaterEqual(other: Operand): Tensor {
    return comparison.greaterEqual(this, other);
  }
  and(other: Operand): Tensor {
    return comparison.and(this, other);
  }
  or(other: Operand): Tensor {
    return comparison.or(this, other);
  }
  not(): Tensor {
    return comparison.not(this);
  }
  neg(): Tensor {
    return elementwise.neg(this);
  }
  abs(): Tensor {
    return elementwise.abs(this);
  }
  exp(): Tensor {
    return elementwise.exp(this);
  }
  log(): Tensor {
    return elementwise.log(this);
  }
  sqrt(): Tensor {
    return elementwise.sqrt(this);
  }
  rsqrt(): Tensor {
    return elementwise.rsqrt(this);
  }
  sin(): Tensor {
    return elementwise.sin(this);
  }
  cos(): Tensor {
    return elementwise.cos(this);
  }
  tanh(): Tensor {
    return elementwise.tanh(this);
  }
  sigmoid(): Tensor {
    return elementwise.sigmoid(this);
  }
  floor(): Tensor {
    return elementwise.floor(this);
  }
  round(): Tensor {
    return round(this);
  }
  clip(low?: number, high?: number): Tensor {
    return clip(this, low, high);
  }
  relu(): Tensor {
    return relu(this);
  }
  gelu(options?: { readonly approximate?: 'none' | 'tanh' }): Tensor {
    return gelu(this, options);
  }
  cast(dtype: DType): Tensor {
    return cast(this, dtype);
  }
  sum(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return sum(this, axes, options);
  }
  mean(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return mean(this, axes, options);
  }
  max(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return max(this, axes, options);
  }
  min(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return min(this, axes, options);
  }
  prod(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return prod(this, axes, options);
  }
  variance(axes?: Axes, options?: { readonly keepDims?: boolean; readonly correction?: number }): Tensor {
    return variance(this, axes, options);
  }
  argmax(axis: number): Tensor {
    return argmax(this, axis);
  }
  argmin(axis: number): Tensor {
    return argmin(this, axis);
  }
  cumsum(axis: number): Tensor {
    return cumsum(this, axis);
  }
  softmax(axis = -1): Tensor {
    return softmax(this, axis);
  }
  matmul(other: Tensor, options?: MatmulOptions): Tensor {
    return matmul(this, other, options);
  }
  reshape(shape: readonly Dim[]): Tensor {
    return reshape(this, shape);
  }
  flatten(): Tensor {
    return flatten(this);
  }
  permute(axes: readonly number[]): Tensor {
    return permute(this, axes);
  }
  transpose(axisA = -2, axisB = -1): Tensor {
    return transpose(this, axisA, axisB);
  }
  expand(shape: Shape): Tensor {
    return expand(this, shape);
  }
  squeeze(axes?: Axes): Tensor {
    return squeeze(this, axes);
  }
  unsqueeze(axis: number): Tensor {
    return unsqueeze(this, axis);
  }
  flip(axes?: Axes): Tensor {
    return flip(this, axes);
  }
  take(indices: Tensor, axis = 0): Tensor {
    return take(this, indices, axis);
  }
  slice(axis: number, start: Dim, end?: Dim, step?: number): Tensor {
    return slice(this, axis, start, end, step);
  }
}
