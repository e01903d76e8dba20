import type { DType } from '@heddle/tensor';
import type { OperationCase as AnyCase, AppliedCase, OperandValues } from '@heddle/tensor/testing';

export type Operand = OperandValues;
/**
 * One application of an operation (or a few), as a row of a table that every back end is tested with. The name begins with
 * the name of the operation as it is exported.
 */
export type OperationCase = AppliedCase;
export type Case = AnyCase;

/** Numbers in [0, 1), the same for the same seed. */
function* uniform(seed: number): Generator<number, never> {
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

const sizeOf = (shape: readonly number[]) => shape.reduce((a, b) => a * b, 1);
const seedOf = (shape: readonly number[], salt: number) => shape.reduce((seed, size) => seed * 31 + size, salt + 7);

/** f32 values between `low` and `high`; operands of one shape differ by their `salt`. */
export function floats(shape: readonly number[], low = -2, high = 2, salt = 0): Operand {
  const random = uniform(seedOf(shape, salt));
  const values = Array.from({ length: sizeOf(shape) }, () => Math.fround(low + (high - low) * random.next().value));
  return { shape, dtype: 'f32', values };
}

/** f16 values between `low` and `high`, in steps that f16 holds exactly. */
export function halves(shape: readonly number[], low = -2, high = 2, salt = 0): Operand {
  const { values } = floats(shape, low, high, salt);
  return { shape, dtype: 'f16', values: values.map((value) => Math.round(value * 128) / 128) };
}

/** Whole numbers from `low` up to, but not including, `high`. */
export function integers(
  shape: readonly number[],
  low: number,
  high: number,
  dtype: 'i32' | 'u32' = 'i32',
  salt = 0,
): Operand {
  const { values } = floats(shape, low, high, salt);
  return { shape, dtype, values: values.map((value) => Math.min(Math.floor(value), high - 1)) };
}

export function booleans(shape: readonly number[], salt = 0): Operand {
  const { values } = floats(shape, 0, 1, salt);
  return { shape, dtype: 'bool', values: values.map((value) => Number(value > 0.5)) };
}

/** The given values, for special ones. */
export function exactly(dtype: DType, shape: readonly number[], values: readonly number[]): Operand {
  return { shape, dtype, values };
}
