import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { cast } from './cast.ts';
import { type None, none } from './define-elementwise.ts';
import { div } from './elementwise.ts';
import { polynomial } from './polynomial.ts';
import { where } from './where.ts';
import { wideGradient } from './wide-gradient.ts';

const erfOp: Op<None> = defineOp<None>({
  name: 'erf',
  shape([x]) {
    if (!isFloat(x!.dtype)) throw new DTypeError(`erf: takes f32 or f16, got ${x!.dtype}`);
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  gradient: (context) => wideGradient(erfOp, context, ([x], _, [g]) => [g!.mul(slopeAt(x!))]),
  decompose: ([x]) => [cast(approximateErf(cast(x!, 'f32')), x!.dtype)],
  lower: {
    reference: { elementwise: () => erfOf },
    onnx: { emit: (builder, [x]) => builder.op('Erf', [x!]) },
  },
});

const slopeAt = (x: Tensor): Tensor =>
  x
    .mul(x)
    .neg()
    .exp()
    .mul(2 / Math.sqrt(Math.PI));

/** (-1)^n / (n! (2n + 1)) 2 / sqrt(pi): the series of erf(x) / x in x^2. */
const seriesCoefficients: readonly number[] = Array.from({ length: 11 }, (_, n) => {
  let factorial = 1;
  for (let i = 2; i <= n; i++) factorial *= i;
  return ((n % 2 === 0 ? 1 : -1) * 2) / (Math.sqrt(Math.PI) * factorial * (2 * n + 1));
});
/** Abramowitz and Stegun, Handbook of Mathematical Functions, 7.1.26: erfc within 1.5e-7. */
const tailScale = 0.3275911;
const tailCoefficients = [0, 0.254829592, -0.284496736, 1.421413741, -1.453152027, 1.061405429] as const;

/** Near 0 the series, exact to the last bits of f32; beyond 1 what is missing to 1, which need only be exact absolutely. */
function approximateErf(x: Tensor): Tensor {
  const size = x.abs();
  const near = x.mul(polynomial(x.mul(x).minimum(1), seriesCoefficients));
  const t = div(1, size.mul(tailScale).add(1));
  const far = polynomial(t, tailCoefficients).mul(x.mul(x).neg().exp()).neg().add(1);
  return where(size.less(1), near, where(x.less(0), far.neg(), far));
}

/** In float64: the series, or the continued fraction of erfc. */
function erfOf(x: number): number {
  if (Number.isNaN(x)) return x;
  const size = Math.abs(x);
  if (size > 6) return Math.sign(x);
  if (size < 2.5) {
    let term = x;
    let sum = x;
    for (let n = 1; Math.abs(term) > Math.abs(sum) * 1e-18; n++) {
      term *= (-x * x) / n;
      sum += term / (2 * n + 1);
    }
    return (sum * 2) / Math.sqrt(Math.PI);
  }
  return Math.sign(x) * (1 - tailOf(size));
}

/** 1 - erf(x) in float64, with all digits also where that is nearly 0. */
export function erfcOf(x: number): number {
  return x < 2.5 || Number.isNaN(x) ? 1 - erfOf(x) : tailOf(x);
}

/** erfc from 2.5 on, by its continued fraction. */
function tailOf(x: number): number {
  let fraction = 0;
  for (let k = 80; k > 0; k--) fraction = k / 2 / (x + fraction);
  return Math.exp(-x * x) / (Math.sqrt(Math.PI) * (x + fraction));
}

/**
 * The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to `x`; within 2e-7. f32 or f16.
 * @throws DTypeError for others
 */
export function erf(x: Tensor): Tensor {
  checkArguments('erf', 'tensor', { x });
  return recordOne(erfOp, [x], none);
}
