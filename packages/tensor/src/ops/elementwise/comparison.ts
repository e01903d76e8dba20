import { calledAs } from '../../checks/called-as.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import { binary, checkOperands, type Elementwise, unary } from './define-elementwise.ts';
import { infix } from './expressions.ts';

/**
 * Drivers take a choice by the order of what is chosen from for a maximum, which loses NaN. They do not where the order
 * depends on bits, too.
 */
const order =
  (operator: '<' | '<='): Elementwise['webgpu'] =>
  ([a, b], dtype, prelude) =>
    isFloat(dtype) ? `u32(${a} ${operator} ${b} && ${prelude.are_numbers}(${a}, ${b}))` : `u32(${a} ${operator} ${b})`;
/** With operands changed about; a mistake is told of the operands as they were given. */
function turned(name: string, of: (a: Operand, b: Operand) => Tensor, a: Operand, b: Operand): Tensor {
  checkOperands(name, [a, b]);
  return calledAs(name, () => of(b, a));
}
const bit = (value: boolean) => (value ? 1 : 0);

/**
 * Whether values are equal, as bool; operands broadcast and meet in one dtype as those of `add` do, and may both be bool. NaN
 * equals nothing.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for a number that the dtype beside it cannot hold
 */
export const equal: (a: Operand, b: Operand) => Tensor = binary({
  name: 'equal',
  takes: 'any',
  gives: 'bool',
  reference: (a, b) => bit(a === b),
  onnx: 'Equal',
  webgpu: ([a, b]) => `u32(${a} == ${b})`,
});
/** Whether values differ, otherwise as `equal`: NaN differs from everything. @throws ShapeError, DTypeError as there */
export const notEqual = (a: Operand, b: Operand): Tensor => calledAs('notEqual', () => not(equal(a, b)));
/**
 * Whether `a < b`, as bool; operands broadcast and meet in one dtype as those of `add` do. False where one is NaN.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for bool, and for a number that the dtype beside it cannot hold
 */
export const less: (a: Operand, b: Operand) => Tensor = binary({
  name: 'less',
  takes: 'number',
  gives: 'bool',
  reference: (a, b) => bit(a! < b!),
  onnx: 'Less',
  webgpu: order('<'),
});
/** Whether `a <= b`, otherwise as `less`. */
export const lessEqual: (a: Operand, b: Operand) => Tensor = binary({
  name: 'lessEqual',
  takes: 'number',
  gives: 'bool',
  reference: (a, b) => bit(a! <= b!),
  onnx: 'LessOrEqual',
  webgpu: order('<='),
});
/** Whether `a > b`, otherwise as `less`. @throws ShapeError, DTypeError as there */
export const greater = (a: Operand, b: Operand): Tensor => turned('greater', less, a, b);
/** Whether `a >= b`, otherwise as `less`. @throws ShapeError, DTypeError as there */
export const greaterEqual = (a: Operand, b: Operand): Tensor => turned('greaterEqual', lessEqual, a, b);
/** Whether both are true; bool operands, which broadcast. @throws ShapeError, DTypeError */
export const and: (a: Operand, b: Operand) => Tensor = binary({
  name: 'and',
  takes: 'bool',
  reference: (a, b) => a! & b!,
  onnx: 'And',
  webgpu: infix('&'),
});
/** Whether one of them is true; bool operands, which broadcast. @throws ShapeError, DTypeError */
export const or: (a: Operand, b: Operand) => Tensor = binary({
  name: 'or',
  takes: 'bool',
  reference: (a, b) => a! | b!,
  onnx: 'Or',
  webgpu: infix('|'),
});
/** Whether values are false; a bool operand. @throws DTypeError */
export const not: (x: Tensor) => Tensor = unary({
  name: 'not',
  takes: 'bool',
  reference: (x) => 1 - x!,
  onnx: 'Not',
  webgpu: ([x]) => `(1u - ${x})`,
});
/** Where a value is not a number. f32 or f16. */
export const isNan: (x: Tensor) => Tensor = unary({
  name: 'isNan',
  takes: 'float',
  gives: 'bool',
  reference: (x) => bit(Number.isNaN(x!)),
  onnx: 'IsNaN',
  webgpu: ([x], _, { is_nan }) => `u32(${is_nan}(${x}))`,
});
