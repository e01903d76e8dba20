import { checkArguments, checkTensorsOf } from '../checks/check-arguments.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../checks/errors.ts';
import { isFloat } from '../dtype.ts';
import { Tensor } from '../graph/tensor.ts';
import { full } from '../ops/create/creation.ts';
import { identity } from '../ops/movement/identity.ts';
import { formatShape, shapesEqual } from '../shape.ts';
import { refusePromises } from '../tree.ts';
import { gradients } from './gradients.ts';

/**
 * The value of a function and its derivative in a direction: how the result changes when the arguments move along `tangents`.
 * Records only, and can be differentiated again. It is the gradient of a gradient: costs are a few times those of the function.
 *
 * ```ts
 * const { value, tangent } = jvp((x: Tensor) => x.mul(x), [x], [direction]); // tangent is 2 x direction
 * ```
 * @param args f32 or f16 tensors @param tangents one for each, of its shape and dtype
 * @throws ArgumentError, ShapeError, DTypeError
 */
export function jvp<A extends readonly Tensor[]>(
  fn: (...args: A) => Tensor,
  args: A,
  tangents: { readonly [I in keyof A]: Tensor },
): { readonly value: Tensor; readonly tangent: Tensor } {
  checkArguments('jvp', 'function', { fn });
  checkArguments('jvp', 'tensors', { args, tangents });
  const [first] = args;
  if (first) checkTensorsOf('jvp', first.device, [...args, ...(tangents as readonly Tensor[])]);
  const [points, directions]: [readonly Tensor[], readonly Tensor[]] = [args, tangents];
  if (points.length === 0 || points.length !== directions.length)
    throw new ArgumentError(`jvp: takes a tangent for each argument, got ${directions.length} for ${points.length}`);
  points.forEach((point, i) => {
    const direction = directions[i]!;
    if (!shapesEqual(direction.shape, point.shape))
      throw new ShapeError(
        `jvp: tangent ${i} must have the shape ${formatShape(point.shape)}, got ${formatShape(direction.shape)}`,
      );
    if (!isFloat(point.dtype) || direction.dtype !== point.dtype)
      throw new DTypeError(
        `jvp: argument ${i} and its tangent must be both f32 or f16, got ${point.dtype} and ${direction.dtype}`,
      );
  });
  const own = points.map((point) => identity(point));
  const value: unknown = fn(...(own as unknown as A));
  refusePromises('jvp', value);
  if (!(value instanceof Tensor))
    throw new ArgumentError(`jvp: the function must give a tensor, got ${describe(value)}`);
  if (!isFloat(value.dtype)) throw new DTypeError(`jvp: the function must give f32 or f16, got ${value.dtype}`);
  // the gradient with respect to the arguments is linear in the weights of the results; its own gradient with respect to these is the derivative
  const weights = identity(full(value.device, value.shape, 1, value.dtype));
  const back = gradients(value.mul(weights).sum(), own);
  const moved = back.map((slope, i) => slope.mul(directions[i]!).sum().cast('f32')).reduce((a, b) => a.add(b));
  const [tangent] = gradients(moved, [weights]);
  return { value, tangent };
}
