import { DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Operand } from '../../graph/tensor-operations.ts';
import { broadcastShapes } from '../../shape.ts';
import { cast } from './cast.ts';
import { type None, none, together, unary } from './define-elementwise.ts';
import { div } from './elementwise.ts';
import { polynomial } from './polynomial.ts';
import { where } from './where.ts';
import { wideGradient } from './wide-gradient.ts';

/** Tangent of radians; GPUs lose digits beyond 1e5. f32 or f16. @throws DTypeError for others */
export const tan: (x: Tensor) => Tensor = unary({
  name: 'tan',
  takes: 'float',
  reference: (x) => Math.tan(x!),
  onnx: 'Tan',
  webgpu: ([x], _, { safe_div, safe_sin, safe_cos }) => `${safe_div}(${safe_sin}(${x}), ${safe_cos}(${x}))`,
  gradient: (_, y, g) => [g.mul(y.mul(y).add(1))],
});

const atan2Op: Op<None> = defineOp<None>({
  name: 'atan2',
  shape(inputs) {
    const [y, x] = inputs;
    if (!isFloat(y!.dtype) || y!.dtype !== x!.dtype)
      throw new DTypeError(`atan2: takes f32 or f16, got ${y!.dtype} and ${x!.dtype}`);
    return [{ shape: broadcastShapes('atan2', [y!.shape, x!.shape]), dtype: y!.dtype }];
  },
  gradient: (context) =>
    wideGradient(atan2Op, context, ([y, x], _, [g]) => {
      // divided by the larger one, so that no square leaves the range
      const size = y!.abs().maximum(x!.abs());
      const [sine, cosine] = [y!.div(size), x!.div(size)];
      const scale = g!.div(sine.mul(sine).add(cosine.mul(cosine))).div(size);
      return [scale.mul(cosine), scale.mul(sine).neg()];
    }),
  decompose: ([y, x]) => [cast(angleOf(cast(y!, 'f32'), cast(x!, 'f32')), y!.dtype)],
  lower: { reference: { elementwise: () => (y, x) => Math.atan2(y!, x!) } },
});

/** Whether a value has a minus sign; that of 0 shows where something is divided by it. */
const isNegative = (x: Tensor) => where(x.equal(0), div(1, x), x).less(0);

/** The angle in the first half quadrant, turned to where it is. */
function angleOf(y: Tensor, x: Tensor): Tensor {
  const [rise, run] = [y.abs(), x.abs()];
  const [less, more] = [rise.minimum(run), rise.maximum(run)];
  // equal infinities are at 45 degrees, as equal numbers are
  const bothInfinite = less.equal(Number.POSITIVE_INFINITY);
  const ratio = where(bothInfinite, 1, less.div(where(more.equal(0), 1, more)));
  const narrow = arctangent(ratio);
  const upright = where(rise.greater(run), narrow.neg().add(Math.PI / 2), narrow);
  const halfPlane = where(isNegative(x), upright.neg().add(Math.PI), upright);
  return where(isNegative(y), halfPlane.neg(), halfPlane);
}

const coefficients = [0, -3.33329491539e-1, 1.99777106478e-1, -1.38776856032e-1, 8.05374449538e-2] as const;

/** From 0 to 1, within 1e-7. Source: S. Moshier, Cephes, https://netlib.org/cephes */
function arctangent(x: Tensor): Tensor {
  const isSteep = x.greater(Math.SQRT2 - 1);
  const z = where(isSteep, x.sub(1).div(x.add(1)), x);
  const angle = z.add(z.mul(polynomial(z.mul(z), coefficients)));
  return where(isSteep, angle.add(Math.PI / 4), angle);
}

/**
 * The angle, in radians from -pi to pi, of the point with the coordinates `x` and `y`; operands broadcast and meet in one dtype
 * as those of `add` do. f32 or f16, within 2e-7.
 * @throws ShapeError where the shapes do not broadcast; DTypeError for others
 */
export function atan2(y: Operand, x: Operand): Tensor {
  return recordOne(atan2Op, together('atan2', [y, x]), none);
}
