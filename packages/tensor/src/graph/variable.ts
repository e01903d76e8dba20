import { checkArguments, checkTensorsOf } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import { type DType, type HostArray, type HostArrays, isBlockFormat, isHostArrayOf } from '../dtype.ts';
import { asHeld } from '../host-data.ts';
import { type ConcreteType, formatShape, shapesEqual, sizeOf } from '../shape.ts';
import type { Device } from './device.ts';
import type { Storage } from './executor.ts';
import { type Node, variableOp } from './op.ts';
import { Tensor } from './tensor.ts';

/** A change of a variable, applied when what returns or realizes it runs, after every read of that run. */
export class Update {
  /** What changes. */
  readonly variable: Variable;
  /** What it changes to. */
  readonly value: Tensor;
  /** Rows that `value` overwrites, or undefined: `value` replaces everything. Negative rows are passed over. */
  readonly rows: Tensor | undefined;

  constructor(variable: Variable, value: Tensor, rows?: Tensor) {
    this.variable = variable;
    this.value = value;
    this.rows = rows;
  }
}

/**
 * A named tensor that outlives plans: weights, optimizer moments, cache pages. Read it as any tensor; change it with
 * `assign` and `scatter`, whose updates a compiled function returns or `device.realize` takes. A read in the same run sees
 * the value from before. Owned by whoever created it.
 */
export class Variable extends Tensor {
  /** What errors and files call it. */
  readonly name: string;
  /** A frozen variable never changes: executors may bake it into programs (ONNX: an initialiser). */
  readonly frozen: boolean;
  #open: Update | undefined;

  constructor(device: Device, name: string, type: ConcreteType, storage: Storage, frozen: boolean) {
    const outputs: Tensor[] = [];
    const node: Node = { op: variableOp, inputs: [], attributes: { ...type, name }, outputs };
    super(device, node, 0, type);
    outputs.push(this);
    this.name = name;
    this.frozen = frozen;
    this.hold(storage);
  }

  /**
   * Replaces the whole value by `value` of the same shape and dtype, when the update that it gives is applied.
   * @throws ShapeError or DTypeError for a value of another shape or dtype; ArgumentError for a frozen variable
   */
  assign(value: Tensor): Update {
    this.#assertMutable('assign', value);
    if (!shapesEqual(value.shape, this.shape))
      throw new ShapeError(
        `assign: ${this.name} has shape ${formatShape(this.shape)}, got a value of ${formatShape(value.shape)}`,
      );
    this.#assertDType('assign', value);
    this.warnOfOpenUpdate();
    this.#open = new Update(this, value);
    return this.#open;
  }
  /** An update is about to be applied. @internal */
  noteUpdate(update: Update): void {
    if (this.#open === update) this.#open = undefined;
  }
  /** Says once of a device that an update was recorded and not applied. @internal */
  warnOfOpenUpdate(): void {
    if (this.#open)
      this.device.warnOnce(
        `variable '${this.name}' has its old value: assign() only records; pass what it gives to device.realize([], [update]), or return it from a compiled function`,
      );
  }
  override data(): Promise<HostArray>;
  override data<D extends DType>(dtype: D): Promise<HostArrays[D]>;
  override data(dtype?: DType): Promise<HostArray> {
    this.warnOfOpenUpdate();
    return dtype === undefined ? super.data() : super.data(dtype);
  }

  /**
   * Overwrites rows along the first axis: row `rows[t]` becomes `value[t]`.
   * @param rows i32 `[T]`; negative rows are passed over, a row named twice has one of its values. One beyond the last rejects
   *   the run with `IndexError`; a GPU finds it in debug mode only, and passes over it otherwise
   * @param value `[T, ...this.shape.slice(1)]`, of this dtype
   * @throws ShapeError, DTypeError; ArgumentError for a frozen variable
   */
  scatter(rows: Tensor, value: Tensor): Update {
    this.#assertMutable('scatter', rows, value);
    const expected = [...rows.shape, ...this.shape.slice(1)];
    if (rows.dtype !== 'i32' || rows.shape.length !== 1)
      throw new DTypeError(`scatter: rows must be i32 [T], got ${rows.dtype} ${formatShape(rows.shape)}`);
    if (!shapesEqual(value.shape, expected))
      throw new ShapeError(
        `scatter: ${this.name} takes values of ${formatShape(expected)}, got ${formatShape(value.shape)}`,
      );
    this.#assertDType('scatter', value);
    if (this.dtype === 'bf16')
      throw new DTypeError(`scatter: rows of ${this.name}, which is bf16, are not written singly`);
    return new Update(this, value, rows);
  }

  /**
   * Overwrites values with those of host arrays, one array after the other, in the order of calls: what was run before has read the old
   * values, what is run later reads the new ones. Nothing is allocated on the device. The arrays must stay as they are until it resolves.
   *
   * ```ts
   * await weights.write([new Float32Array(4), new Float32Array(4)], 8); // values 8 to 15
   * ```
   * @param parts arrays as the dtype has them on the host (f16: bits in a Uint16Array)
   * @param offset of the first value, in row-major order
   * @throws ShapeError where they are more than the variable has from there on; DTypeError; ArgumentError for a frozen variable
   */
  async write(parts: readonly HostArray[], offset: number = 0): Promise<void> {
    this.#assertMutable('write');
    checkArguments('write', 'list', { parts });
    const { device, dtype, name, shape } = this;
    if (isBlockFormat(dtype))
      throw new DTypeError(`write: ${name} is ${dtype}, which nothing overwrites; make a new variable`);
    for (const part of parts)
      if (!isHostArrayOf(dtype, part))
        throw new DTypeError(`write: ${name} is ${dtype}, got a part that is ${describe(part)}`);
    const size = sizeOf(shape) as number;
    const count = parts.reduce((sum, { length }) => sum + length, 0);
    if (!Number.isSafeInteger(offset) || offset < 0 || offset + count > size)
      throw new ShapeError(`write: ${name} ${formatShape(shape)} has ${size} values, got ${count} from ${offset} on`);
    const held = parts.map((part) => asHeld(dtype, part));
    await device.enqueue(() => {
      this.assertUsable('write');
      const { executor } = device;
      if (executor.writeParts) return executor.writeParts(this.storage!, held, offset);
      let at = offset;
      for (const part of held) {
        executor.write(this.storage!, part, at);
        at += part.length;
      }
    });
  }

  #assertMutable(operation: string, ...given: readonly Tensor[]): void {
    this.assertUsable(operation);
    for (const value of given)
      if (!(value instanceof Tensor))
        throw new ArgumentError(`${operation}: ${this.name} takes a tensor, got ${describe(value)}`);
    for (const value of given) value.assertUsable(operation);
    checkTensorsOf(operation, this.device, given);
    if (this.frozen) throw new ArgumentError(`${operation}: ${this.name} is frozen`);
  }

  #assertDType(operation: string, value: Tensor): void {
    if (isBlockFormat(this.dtype))
      throw new DTypeError(`${operation}: ${this.name} is ${this.dtype}, which nothing computes; make a new variable`);
    if (value.dtype !== this.dtype)
      throw new DTypeError(`${operation}: ${this.name} is ${this.dtype}, got a value of ${value.dtype}; cast it`);
  }
}

/** @throws ArgumentError for what `assign` and `scatter` do not give */
export function checkUpdates(operation: string, updates: readonly unknown[]): void {
  for (const update of updates)
    if (!(update instanceof Update))
      throw new ArgumentError(`${operation}: updates must be what assign() gives, got ${describe(update)}`);
}
