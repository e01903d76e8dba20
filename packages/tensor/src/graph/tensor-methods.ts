import type { Dim } from '../dim.ts';
import type { DType } from '../dtype.ts';
import type { Shape } from '../shape.ts';
import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';
import type { MatmulOptions, Operand } from './tensor-operations.ts';

type Axes = number | readonly number[];

/** The operations that are methods of tensors. Each records the function of its name, whose documentation says more. */
export abstract class TensorMethods {
  abstract readonly device: Device;

  get #self(): Tensor {
    return this as unknown as Tensor;
  }

  /** `this + other`, value by value; shapes broadcast as in NumPy, dtypes are promoted. @throws ShapeError, DTypeError */
  add(other: Operand): Tensor {
    return this.device.operations.add(this.#self, other);
  }
  /** `this - other`, value by value, with broadcasting. @throws ShapeError, DTypeError */
  sub(other: Operand): Tensor {
    return this.device.operations.sub(this.#self, other);
  }
  /** `this * other`, value by value, with broadcasting. @throws ShapeError, DTypeError */
  mul(other: Operand): Tensor {
    return this.device.operations.mul(this.#self, other);
  }
  /** `this / other`, value by value, with broadcasting. @throws ShapeError; DTypeError for integers */
  div(other: Operand): Tensor {
    return this.device.operations.div(this.#self, other);
  }
  /** `this` to the power of `other`, value by value, with broadcasting. @throws ShapeError, DTypeError */
  pow(other: Operand): Tensor {
    return this.device.operations.pow(this.#self, other);
  }
  /** What is left of `this` divided by `other`, with the sign of `other`, as in Python. @throws ShapeError, DTypeError */
  remainder(other: Operand): Tensor {
    return this.device.operations.remainder(this.#self, other);
  }
  /** The angle, in radians, of the point with the coordinates `x` and `this`, with broadcasting. @throws ShapeError, DTypeError */
  atan2(x: Operand): Tensor {
    return this.device.operations.atan2(this.#self, x);
  }
  /** The larger of two values, with broadcasting; NaN if either is. @throws ShapeError, DTypeError */
  maximum(other: Operand): Tensor {
    return this.device.operations.maximum(this.#self, other);
  }
  /** The smaller of two values, with broadcasting; NaN if either is. @throws ShapeError, DTypeError */
  minimum(other: Operand): Tensor {
    return this.device.operations.minimum(this.#self, other);
  }
  /** Whether values are equal, as bool, with broadcasting. @throws ShapeError, DTypeError */
  equal(other: Operand): Tensor {
    return this.device.operations.equal(this.#self, other);
  }
  /** Whether values differ, as bool, with broadcasting; NaN differs from everything. @throws ShapeError, DTypeError */
  notEqual(other: Operand): Tensor {
    return this.device.operations.notEqual(this.#self, other);
  }
  /** Whether `this < other`, as bool, with broadcasting. @throws ShapeError, DTypeError */
  less(other: Operand): Tensor {
    return this.device.operations.less(this.#self, other);
  }
  /** Whether `this <= other`, as bool, with broadcasting. @throws ShapeError, DTypeError */
  lessEqual(other: Operand): Tensor {
    return this.device.operations.lessEqual(this.#self, other);
  }
  /** Whether `this > other`, as bool, with broadcasting. @throws ShapeError, DTypeError */
  greater(other: Operand): Tensor {
    return this.device.operations.greater(this.#self, other);
  }
  /** Whether `this >= other`, as bool, with broadcasting. @throws ShapeError, DTypeError */
  greaterEqual(other: Operand): Tensor {
    return this.device.operations.greaterEqual(this.#self, other);
  }
  /** Logical and of bool tensors, with broadcasting. @throws ShapeError; DTypeError for other dtypes */
  and(other: Operand): Tensor {
    return this.device.operations.and(this.#self, other);
  }
  /** Logical or of bool tensors, with broadcasting. @throws ShapeError; DTypeError for other dtypes */
  or(other: Operand): Tensor {
    return this.device.operations.or(this.#self, other);
  }
  /** Logical not of a bool tensor. @throws DTypeError for other dtypes */
  not(): Tensor {
    return this.device.operations.not(this.#self);
  }
  /** The negative of each value. @throws DTypeError for u32 and bool */
  neg(): Tensor {
    return this.device.operations.neg(this.#self);
  }
  /** The magnitude of each value. @throws DTypeError for u32 and bool */
  abs(): Tensor {
    return this.device.operations.abs(this.#self);
  }
  /** e to the power of each value. @throws DTypeError for dtypes that are no floats */
  exp(): Tensor {
    return this.device.operations.exp(this.#self);
  }
  /** The natural logarithm of each value; -Infinity at 0, NaN below. @throws DTypeError for dtypes that are no floats */
  log(): Tensor {
    return this.device.operations.log(this.#self);
  }
  /** Logarithm to the base 2. @throws DTypeError for others than f32 and f16 */
  log2(): Tensor {
    return this.device.operations.log2(this.#self);
  }
  /** Logarithm to the base 10. @throws DTypeError for others than f32 and f16 */
  log10(): Tensor {
    return this.device.operations.log10(this.#self);
  }
  /** The square root of each value; NaN below 0. @throws DTypeError for dtypes that are no floats */
  sqrt(): Tensor {
    return this.device.operations.sqrt(this.#self);
  }
  /** The values times themselves. @throws DTypeError for bool */
  square(): Tensor {
    return this.device.operations.square(this.#self);
  }
  /** 1 / sqrt of each value. @throws DTypeError for dtypes that are no floats */
  rsqrt(): Tensor {
    return this.device.operations.rsqrt(this.#self);
  }
  /** The sine of each value, in radians. @throws DTypeError for dtypes that are no floats */
  sin(): Tensor {
    return this.device.operations.sin(this.#self);
  }
  /** The cosine of each value, in radians. @throws DTypeError for dtypes that are no floats */
  cos(): Tensor {
    return this.device.operations.cos(this.#self);
  }
  /** Tangent of radians. @throws DTypeError for others than f32 and f16 */
  tan(): Tensor {
    return this.device.operations.tan(this.#self);
  }
  /** The hyperbolic tangent of each value. @throws DTypeError for dtypes that are no floats */
  tanh(): Tensor {
    return this.device.operations.tanh(this.#self);
  }
  /** 1 / (1 + exp(-x)) of each value. @throws DTypeError for dtypes that are no floats */
  sigmoid(): Tensor {
    return this.device.operations.sigmoid(this.#self);
  }
  /** The largest whole number that is not above each value. @throws DTypeError for dtypes that are no floats */
  floor(): Tensor {
    return this.device.operations.floor(this.#self);
  }
  /** The smallest whole number that is not below. @throws DTypeError for others than f32 and f16 */
  ceil(): Tensor {
    return this.device.operations.ceil(this.#self);
  }
  /** The nearest whole number, ties to even. @throws DTypeError for dtypes that are no floats */
  round(): Tensor {
    return this.device.operations.round(this.#self);
  }
  /** The nearest value in `[low, high]`; a limit that is left out does not hold. @throws ArgumentError, DTypeError */
  clip(low?: number, high?: number): Tensor {
    return this.device.operations.clip(this.#self, low, high);
  }
  /** max(x, 0) of each value; NaN stays. @throws DTypeError */
  relu(): Tensor {
    return this.device.operations.relu(this.#self);
  }
  /**
   * x times the normal distribution's cumulative function: by `erf`, or its tanh approximation.
   * @throws DTypeError for dtypes that are no floats
   */
  gelu(options?: { readonly approximate?: 'none' | 'tanh' }): Tensor {
    return this.device.operations.gelu(this.#self, options);
  }
  /**
   * The same values in another dtype; see the function `cast` for what is rounded and how.
   * @throws DTypeError for a block format
   */
  cast(dtype: DType): Tensor {
    return this.device.operations.cast(this.#self, dtype);
  }
  /** The sum over `axes`, all by default, 0 over none; f16 is summed in f32, of bool it counts in i32. @throws ShapeError */
  sum(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.device.operations.sum(this.#self, axes, options);
  }
  /** The arithmetic mean over `axes`, all by default, computed in f32; NaN over none, f32 of integers. @throws ShapeError */
  mean(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.device.operations.mean(this.#self, axes, options);
  }
  /** The largest value over `axes`, all by default; NaN if any is. @throws ShapeError, DTypeError */
  max(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.device.operations.max(this.#self, axes, options);
  }
  /** The smallest value over `axes`, all by default; NaN if any is. @throws ShapeError, DTypeError */
  min(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.device.operations.min(this.#self, axes, options);
  }
  /** The product over `axes`, all by default; an empty reduction gives 1. @throws ShapeError, DTypeError */
  prod(axes?: Axes, options?: { readonly keepDims?: boolean }): Tensor {
    return this.device.operations.prod(this.#self, axes, options);
  }
  /**
   * The mean squared distance from the mean over `axes`, all by default; `correction` 1 estimates it from a sample.
   * @throws ShapeError, DTypeError, ArgumentError
   */
  variance(axes?: Axes, options?: { readonly keepDims?: boolean; readonly correction?: number }): Tensor {
    return this.device.operations.variance(this.#self, axes, options);
  }
  /** Standard deviation over `axes`, all by default, with `correction` 0 by default. @throws DTypeError, ShapeError, ArgumentError */
  std(axes?: Axes, options?: { readonly keepDims?: boolean; readonly correction?: number }): Tensor {
    return this.device.operations.std(this.#self, axes, options);
  }
  /** Vector norm over `axes`, all by default, of order 2 or `ord`. @throws DTypeError, ShapeError, ArgumentError */
  norm(axes?: Axes, options?: { readonly keepDims?: boolean; readonly ord?: number }): Tensor {
    return this.device.operations.norm(this.#self, axes, options);
  }
  /** The index (i32) of the first largest value along `axis`. @throws ShapeError, DTypeError */
  argmax(axis: number): Tensor {
    return this.device.operations.argmax(this.#self, axis);
  }
  /** The index (i32) of the first smallest value along `axis`. @throws ShapeError, DTypeError */
  argmin(axis: number): Tensor {
    return this.device.operations.argmin(this.#self, axis);
  }
  /** Sums of the values up to and including each one along `axis`. @throws ShapeError, DTypeError */
  cumsum(axis: number): Tensor {
    return this.device.operations.cumsum(this.#self, axis);
  }
  /**
   * exp(x) over its sum along `axis`, without overflow; computed in f32.
   * @throws ShapeError; DTypeError for dtypes that are no floats
   */
  softmax(axis = -1): Tensor {
    return this.device.operations.softmax(this.#self, axis);
  }
  /**
   * The matrix product `[..., M, K]` by `[..., K, N]`, summed in f32; leading axes broadcast. The right side may be storage-only weights (bf16, block formats).
   * @throws ShapeError, DTypeError
   */
  matmul(other: Tensor, options?: MatmulOptions): Tensor {
    return this.device.operations.matmul(this.#self, other, options);
  }
  /** All products of a value of `this` `[N]` with one of `other` `[M]`: `[N, M]`. @throws ShapeError, DTypeError */
  outer(other: Tensor): Tensor {
    return this.device.operations.outer(this.#self, other);
  }
  /** The same values, row-major, in another shape; one size may be -1 and follows from the others. @throws ShapeError */
  reshape(shape: readonly Dim[]): Tensor {
    return this.device.operations.reshape(this.#self, shape);
  }
  /** All values, row-major, along one axis. */
  flatten(): Tensor {
    return this.device.operations.flatten(this.#self);
  }
  /** Axes in another order: axis i of the result is axis `axes[i]`. @throws ShapeError */
  permute(axes: readonly number[]): Tensor {
    return this.device.operations.permute(this.#self, axes);
  }
  /** Two axes swapped, by default the last two. @throws ShapeError */
  transpose(axisA = -2, axisB = -1): Tensor {
    return this.device.operations.transpose(this.#self, axisA, axisB);
  }
  /** Axes of size 1 repeated, and axes added in front, up to `shape`. @throws ShapeError */
  expand(shape: Shape): Tensor {
    return this.device.operations.expand(this.#self, shape);
  }
  /** Without the given axes, which must have size 1; by default without all such. @throws ShapeError */
  squeeze(axes?: Axes): Tensor {
    return this.device.operations.squeeze(this.#self, axes);
  }
  /** With an axis of size 1 added at `axis`. @throws ShapeError */
  unsqueeze(axis: number): Tensor {
    return this.device.operations.unsqueeze(this.#self, axis);
  }
  /** Values in reverse order along `axes`, all by default. @throws ShapeError */
  flip(axes?: Axes): Tensor {
    return this.device.operations.flip(this.#self, axes);
  }
  /** A matrix with the values `[N]` on a diagonal, or the diagonal of a matrix. @throws ShapeError, ArgumentError */
  diag(diagonal?: number): Tensor {
    return this.device.operations.diag(this.#self, diagonal);
  }
  /**
   * Slices along `axis` by index (i32, any shape): `[..., ...indices, ...]`. Indices are clamped, and checked in debug mode.
   * @throws ShapeError, DTypeError
   */
  take(indices: Tensor, axis = 0): Tensor {
    return this.device.operations.take(this.#self, indices, axis);
  }
  /**
   * Values from `start` up to, but not including, `end` along `axis`, each `step`-th one; backwards with a step below 0.
   * @throws ShapeError, ArgumentError
   */
  slice(axis: number, start: Dim, end?: Dim, step?: number): Tensor {
    return this.device.operations.slice(this.#self, axis, start, end, step);
  }
}
