import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { cast } from './cast.ts';
import { type None, none } from './define-elementwise.ts';
import { polynomial } from './polynomial.ts';
import { where } from './where.ts';
import { wideGradient } from './wide-gradient.ts';

function defineUnary(
  name: string,
  apply: (x: number) => number,
  gradient: (x: Tensor, y: Tensor, g: Tensor) => Tensor,
  decompose: (x: Tensor) => Tensor,
): Op<None> {
  const op: Op<None> = defineOp<None>({
    name,
    shape([x]) {
      if (!isFloat(x!.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got ${x!.dtype}`);
      return [{ shape: x!.shape, dtype: x!.dtype }];
    },
    gradient: (context) => wideGradient(op, context, ([x], [y], [g]) => [gradient(x!, y!, g!)]),
    decompose: ([x]) => [decompose(x!)],
    lower: { reference: { elementwise: () => (x) => apply(x!) } },
  });
  return op;
}

/** 1, 1/2, 1/6, ...: the series of (exp(x) - 1) / x. */
const expSeries = [1, 2, 6, 24, 120, 720, 5040, 40320].map((factorial) => 1 / factorial);

// neither ONNX nor WGSL has it: near 0, where exp(x) - 1 would lose digits, the series
const expm1Op: Op<None> = defineUnary(
  'expm1',
  Math.expm1,
  (x, _, g) => g.mul(x.exp()),
  (x) => {
    const near = x.maximum(-0.35).minimum(0.35);
    return where(x.abs().less(0.35), x.mul(polynomial(near, expSeries)), x.exp().sub(1));
  },
);

/** exp(x) - 1, with all digits near 0. f32 or f16. @throws DTypeError for others */
export function expm1(x: Tensor): Tensor {
  checkArguments('expm1', 'tensor', { x });
  return recordOne(expm1Op, [x], none);
}

/** 2, 2/3, 2/5, ...: the series of log((1 + s) / (1 - s)) / s in s^2. */
const logSeries = [1, 3, 5, 7, 9, 11].map((odd) => 2 / odd);

const log1pOp: Op<None> = defineUnary(
  'log1p',
  Math.log1p,
  (x, _, g) => g.div(x.add(1)),
  (x) => {
    const near = x.maximum(-0.3).minimum(0.3);
    const s = near.div(near.add(2));
    return where(x.abs().less(0.3), s.mul(polynomial(s.mul(s), logSeries)), x.add(1).log());
  },
);

/** log(1 + x), with all digits near 0. f32 or f16. @throws DTypeError for others */
export function log1p(x: Tensor): Tensor {
  checkArguments('log1p', 'tensor', { x });
  return recordOne(log1pOp, [x], none);
}

/** Of x the logarithm to another base: the natural one times a factor, which f16 need not hold. */
function logarithm(name: string, apply: (x: number) => number, factor: number): (x: Tensor) => Tensor {
  const op = defineUnary(
    name,
    apply,
    (x, _, g) => g.mul(factor).div(x),
    (x) => cast(cast(x, 'f32').log().mul(factor), x.dtype),
  );
  return (x) => recordOne(op, [x], none);
}

/** Logarithm to the base 2: -Infinity at 0, NaN below. f32 or f16. @throws DTypeError for others */
export const log2: (x: Tensor) => Tensor = logarithm('log2', Math.log2, Math.LOG2E);
/** Logarithm to the base 10: -Infinity at 0, NaN below. f32 or f16. @throws DTypeError for others */
export const log10: (x: Tensor) => Tensor = logarithm('log10', Math.log10, Math.LOG10E);
