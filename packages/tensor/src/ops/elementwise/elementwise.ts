import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { type DType, isFloat } from '../../dtype.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import type { PreludeFunction } from '../../graph/webgpu-lowering.ts';
import { binary, type Elementwise, unary } from './define-elementwise.ts';
import { call, callPrelude, infix } from './expressions.ts';
import { where } from './where.ts';

/** The function of floats keeps what is not a number; that of WGSL may lose it. */
const extremum =
  (safe: PreludeFunction, plain: string): Elementwise['webgpu'] =>
  ([a, b], dtype, prelude) =>
    `${isFloat(dtype) ? prelude[safe] : plain}(${a}, ${b})`;

/**
 * Sum of two operands, which broadcast by NumPy's rule and meet in the larger dtype (`bool < u32 < i32 < f16 < f32`). f32, f16,
 * i32 or u32; integers wrap around.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for two operands of bool, and for a number that the dtype of
 *   the tensor beside it cannot hold
 */
export const add: (a: Operand, b: Operand) => Tensor = binary({
  name: 'add',
  takes: 'number',
  reference: (a, b) => a! + b!,
  onnx: 'Add',
  webgpu: infix('+'),
  gradient: (_, __, g) => [g, g],
});
/** Difference of two operands, otherwise as `add`. */
export const sub: (a: Operand, b: Operand) => Tensor = binary({
  name: 'sub',
  takes: 'number',
  reference: (a, b) => a! - b!,
  onnx: 'Sub',
  webgpu: infix('-'),
  gradient: (_, __, g) => [g, g.neg()],
});
/** Product of two operands, value by value, otherwise as `add`. */
export const mul: (a: Operand, b: Operand) => Tensor = binary({
  name: 'mul',
  takes: 'number',
  reference: (a, b) => a! * b!,
  wrapped: Math.imul,
  onnx: 'Mul',
  webgpu: infix('*'),
  gradient: ([a, b], _, g) => [g.mul(b!), g.mul(a!)],
});
/** Division; integers are divided towards zero, and give 0 where the divisor is 0. */
export const div: (a: Operand, b: Operand) => Tensor = binary({
  name: 'div',
  takes: 'number',
  reference: (a, b) => a! / b!,
  onnx: (builder, [a, b], dtype) =>
    isFloat(dtype) ? builder.op('Div', [a!, b!]) : builder.cast(divideWhole(builder, a!, b!), dtype),
  webgpu([a, b], dtype, prelude) {
    if (isFloat(dtype)) return `${prelude.safe_div}(${a}, ${b})`;
    const suffix = dtype === 'i32' ? 'i' : 'u';
    const isZero = `${b} == 0${suffix}`;
    return `select(${a} / select(${b}, 1${suffix}, ${isZero}), 0${suffix}, ${isZero})`;
  },
  gradient: ([, b], y, g) => [g.div(b!), byDivisor(b!, y, g)],
});
/**
 * -g y / b: neither a square of `b` nor anything else on the way leaves the range of f32 where the result does not. Divided
 * first, unless the quotient would be infinite or lose its digits.
 */
function byDivisor(b: Tensor, y: Tensor, g: Tensor): Tensor {
  const quotient = g.div(b);
  const size = quotient.abs();
  const isLate = size.equal(Number.POSITIVE_INFINITY).or(size.less(1e-30));
  return where(isLate, g, quotient)
    .mul(y)
    .div(where(isLate, b, 1))
    .neg();
}
/** In int64: the runtime refuses to divide by 0, and the smallest i32 divided by -1 ends the process. */
function divideWhole(builder: OnnxBuilder, a: string, b: string): string {
  const [zero, one] = [builder.constant('i64', [], [0]), builder.constant('i64', [], [1])];
  const divisor = builder.cast(b, 'i64');
  const isZero = builder.op('Equal', [divisor, zero]);
  const quotient = builder.op('Div', [builder.cast(a, 'i64'), builder.op('Where', [isZero, one, divisor])]);
  return builder.op('Where', [isZero, zero, quotient]);
}
/**
 * `a` to the power of `b`; NaN for negative bases unless `b` is whole. 1 to any power, and anything to the power of 0, is 1. The
 * gradient with respect to the base is 0 where the exponent is 0, that by the exponent where the base is 0 and the exponent is not negative,
 * as in PyTorch; by the exponent of a negative base it is 0 too, since there is none.
 */
export const pow: (a: Operand, b: Operand) => Tensor = binary({
  name: 'pow',
  takes: 'float',
  // unlike JavaScript, C and ONNX: 1 to the power of what is no finite number is 1
  reference: (a, b) => (a === 1 || (a === -1 && Math.abs(b!) === Number.POSITIVE_INFINITY) ? 1 : a! ** b!),
  onnx: 'Pow',
  webgpu: callPrelude('safe_pow'),
  gradient: ([a, b], _, g) => [powerByBase(a!, b!, g), powerByExponent(a!, b!, g)],
});
/** To the power of 0 everything is 1: the slope is 0 at 0 too, where 0 to the power of -1 is not. */
function powerByBase(a: Tensor, b: Tensor, g: Tensor): Tensor {
  const base = where(a.equal(0).and(b.equal(0)), 1, a);
  return g.mul(b).mul(pow(base, b.sub(1)));
}
/** What is flat is computed at 1, so that gradients of this one meet no logarithm of 0 either. */
function powerByExponent(a: Tensor, b: Tensor, g: Tensor): Tensor {
  const isFlat = a.less(0).or(a.equal(0).and(b.greaterEqual(0)));
  const base = where(isFlat, 1, a);
  return where(isFlat, 0, g.mul(pow(base, b)).mul(base.log()));
}
/** The larger of two values, NaN where one is NaN; where they are equal, both take half of the gradient. */
export const maximum: (a: Operand, b: Operand) => Tensor = binary({
  name: 'maximum',
  takes: 'number',
  reference: (a, b) => Math.max(a!, b!),
  onnx: 'Max',
  webgpu: extremum('safe_max', 'max'),
  gradient: ([a, b], _, g) => [share(a!, b!, g), share(b!, a!, g)],
});
/** The smaller of two values, otherwise as `maximum`. */
export const minimum: (a: Operand, b: Operand) => Tensor = binary({
  name: 'minimum',
  takes: 'number',
  reference: (a, b) => Math.min(a!, b!),
  onnx: 'Min',
  webgpu: extremum('safe_min', 'min'),
  gradient: ([a, b], _, g) => [share(b!, a!, g), share(a!, b!, g)],
});
/** The gradient where `a > b`, half of it where they are equal, otherwise 0. */
const share = (a: Tensor, b: Tensor, g: Tensor) => where(a.equal(b), g.mul(0.5), where(a.greater(b), g, 0));

/** The values with the other sign. f32, f16 or i32. @throws DTypeError for others */
export const neg: (x: Tensor) => Tensor = unary({
  name: 'neg',
  takes: 'signed',
  reference: (x) => -x!,
  onnx: 'Neg',
  webgpu: ([x]) => `(-${x})`,
  gradient: (_, __, g) => [g.neg()],
});
/** Absolute value; its gradient at 0 is 0. */
export const abs: (x: Tensor) => Tensor = unary({
  name: 'abs',
  takes: 'number',
  reference: (x) => Math.abs(x!),
  onnx: 'Abs',
  webgpu: call('abs'),
  gradient: ([x], _, g) => [g.mul(sign(x!))],
});
/** -1, 0 or 1 as the values are below, at or above 0; NaN for NaN; its gradient is 0. f32, f16 or i32. @throws DTypeError for others */
export const sign: (x: Tensor) => Tensor = unary({
  name: 'sign',
  takes: 'signed',
  reference: (x) => Math.sign(x!),
  onnx: signOnnx,
  webgpu: ([x], dtype, prelude) => `${isFloat(dtype) ? prelude.safe_sign : 'sign'}(${x})`,
});
/** The runtime gives 0 for what is not a number in f16. */
function signOnnx(builder: OnnxBuilder, [x]: readonly string[], dtype: DType): string {
  return dtype === 'f16'
    ? builder.cast(builder.op('Sign', [builder.cast(x!, 'f32')]), 'f16')
    : builder.op('Sign', [x!]);
}
/** The largest whole number that is not above; its gradient is 0. f32 or f16. @throws DTypeError for others */
export const floor: (x: Tensor) => Tensor = unary({
  name: 'floor',
  takes: 'float',
  reference: (x) => Math.floor(x!),
  onnx: 'Floor',
  webgpu: call('floor'),
});
/** e to the power of `x`. f32 or f16. @throws DTypeError for others */
export const exp: (x: Tensor) => Tensor = unary({
  name: 'exp',
  takes: 'float',
  reference: (x) => Math.exp(x!),
  onnx: 'Exp',
  webgpu: callPrelude('safe_exp'),
  gradient: (_, y, g) => [g.mul(y)],
});
/** Natural logarithm: -Infinity at 0, NaN below. f32 or f16. @throws DTypeError for others */
export const log: (x: Tensor) => Tensor = unary({
  name: 'log',
  takes: 'float',
  reference: (x) => Math.log(x!),
  onnx: 'Log',
  webgpu: callPrelude('safe_log'),
  gradient: ([x], _, g) => [g.div(x!)],
});
/** Square root: NaN below 0. f32 or f16. @throws DTypeError for others */
export const sqrt: (x: Tensor) => Tensor = unary({
  name: 'sqrt',
  takes: 'float',
  reference: (x) => Math.sqrt(x!),
  onnx: 'Sqrt',
  webgpu: call('sqrt'),
  gradient: (_, y, g) => [g.div(y).mul(0.5)],
});
/** 1 / sqrt(x): Infinity at 0, NaN below. f32 or f16. @throws DTypeError for others */
export const rsqrt: (x: Tensor) => Tensor = unary({
  name: 'rsqrt',
  takes: 'float',
  reference: (x) => 1 / Math.sqrt(x!),
  webgpu: call('inverseSqrt'),
  onnx: (b, [x]) => b.op('Reciprocal', [b.op('Sqrt', [x!])]),
  // not by the third power of the result, which may end before the gradient does
  gradient: ([x], y, g) => [g.mul(-0.5).mul(y).div(x!)],
});
/** Sine of radians; GPUs lose digits beyond 1e5. f32 or f16. @throws DTypeError for others */
export const sin: (x: Tensor) => Tensor = unary({
  name: 'sin',
  takes: 'float',
  reference: (x) => Math.sin(x!),
  onnx: 'Sin',
  webgpu: callPrelude('safe_sin'),
  gradient: ([x], _, g) => [g.mul(cos(x!))],
});
/** Cosine of radians; GPUs lose digits beyond 1e5. f32 or f16. @throws DTypeError for others */
export const cos: (x: Tensor) => Tensor = unary({
  name: 'cos',
  takes: 'float',
  reference: (x) => Math.cos(x!),
  onnx: 'Cos',
  webgpu: callPrelude('safe_cos'),
  gradient: ([x], _, g) => [g.mul(sin(x!)).neg()],
});
/** Hyperbolic tangent. f32 or f16. @throws DTypeError for others */
export const tanh: (x: Tensor) => Tensor = unary({
  name: 'tanh',
  takes: 'float',
  reference: (x) => Math.tanh(x!),
  onnx: 'Tanh',
  webgpu: callPrelude('safe_tanh'),
  gradient: (_, y, g) => [g.mul(y.mul(y).neg().add(1))],
});
/** 1 / (1 + exp(-x)). f32 or f16. @throws DTypeError for others */
export const sigmoid: (x: Tensor) => Tensor = unary({
  name: 'sigmoid',
  takes: 'float',
  reference: (x) => 1 / (1 + Math.exp(-x!)),
  // the runtime's own operator is 0 below -18
  onnx(builder, [x], dtype) {
    if (dtype !== 'f32') return builder.op('Sigmoid', [x!]);
    const one = builder.constant('f32', [], [1]);
    return builder.op('Div', [one, builder.op('Add', [one, builder.op('Exp', [builder.op('Neg', [x!])])])]);
  },
  webgpu: ([x], _, { safe_exp }) => `(1.0 / (1.0 + ${safe_exp}(-${x})))`,
  // not by 1 - y, which loses its digits where y is nearly 1
  gradient: ([x], y, g) => [g.mul(y).mul(sigmoid(x!.neg()))],
});

/** The values times themselves. f32, f16, i32 or u32, which wrap around. @throws DTypeError for bool */
export function square(x: Tensor): Tensor {
  return calledAs('square', () => {
    checkArguments('square', 'tensor', { x });
    return mul(x, x);
  });
}
