import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import { binary } from './define-elementwise.ts';

/** With the sign of the divisor, as in Python. */
function remainderOf(a: number, b: number): number {
  const rest = a % b;
  if (rest === 0) return b < 0 ? -0 : 0;
  return rest < 0 !== b < 0 ? rest + b : rest;
}

/**
 * What is left of `a` when whole multiples of `b` are taken away, with the sign of `b`, as `%` is in Python and `remainder` in
 * PyTorch: `remainder(-1, 3)` is 2. Operands broadcast and meet in one dtype as those of `add` do; NaN where the divisor of
 * floats is 0, 0 where that of integers is. GPUs lose digits where the quotient has many.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for bool
 */
export const remainder: (a: Operand, b: Operand) => Tensor = binary({
  name: 'remainder',
  takes: 'number',
  reference: (a, b) => remainderOf(a!, b!),
  wrapped: (a, b) => (b === 0 ? 0 : remainderOf(a!, b!)),
  onnx(builder, [a, b], dtype) {
    if (isFloat(dtype)) {
      const rest = builder.op('Mod', [a!, b!], { attributes: { fmod: 1 } });
      const zero = builder.constant(dtype, [], [0]);
      const isBelow = (value: string) => builder.op('Less', [value, zero]);
      const isThere = builder.op('Not', [builder.op('Equal', [rest, zero])]);
      const isTurned = builder.op('And', [isThere, builder.op('Xor', [isBelow(rest), isBelow(b!)])]);
      return builder.op('Where', [isTurned, builder.op('Add', [rest, b!]), rest]);
    }
    const [zero, one] = [builder.constant('i64', [], [0]), builder.constant('i64', [], [1])];
    const divisor = builder.cast(b!, 'i64');
    const isZero = builder.op('Equal', [divisor, zero]);
    const rest = builder.op('Mod', [builder.cast(a!, 'i64'), builder.op('Where', [isZero, one, divisor])]);
    return builder.cast(builder.op('Where', [isZero, zero, rest]), dtype);
  },
  webgpu([a, b], dtype, prelude) {
    if (isFloat(dtype)) return `${prelude.safe_remainder}(${a}, ${b})`;
    const [zero, one] = dtype === 'i32' ? ['0i', '1i'] : ['0u', '1u'];
    const rest = `(${a} % select(${b}, ${one}, ${b} == ${zero}))`;
    return `select(${rest}, ${rest} + ${b}, ${rest} != ${zero} && (${rest} < ${zero}) != (${b} < ${zero}))`;
  },
  gradient: ([a, b], _, g) => [g, g.mul(a!.div(b!).floor()).neg()],
});
