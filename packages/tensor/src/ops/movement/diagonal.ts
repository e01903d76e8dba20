import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, ShapeError } from '../../checks/errors.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { arange, full } from '../create/creation.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from './movement.ts';
import { pad, slice } from './slice.ts';

/** All products of a value of `a` `[N]` with one of `b` `[M]`: `[N, M]`. @throws ShapeError for other shapes; DTypeError for bool */
export function outer(a: Tensor, b: Tensor): Tensor {
  return calledAs('outer', () => {
    checkArguments('outer', 'tensor', { a, b });
    if (a.rank !== 1 || b.rank !== 1)
      throw new ShapeError(`outer: takes [N] and [M], got ${formatShape(a.shape)} and ${formatShape(b.shape)}`);
    return reshape(a, [a.shape[0]!, 1]).mul(b);
  });
}

/**
 * Of a vector `[N]` the matrix with it on a diagonal and zeros (false) elsewhere; of a matrix its diagonal, as a vector. Diagonal
 * 1 is the one above the main one, -1 that below. Sizes are numbers.
 * @throws ShapeError for other shapes, and where the matrix has no such diagonal; ArgumentError where it is no whole number
 */
export function diag(x: Tensor, diagonal = 0): Tensor {
  return calledAs('diag', () => {
    checkArguments('diag', 'tensor', { x });
    if (!Number.isSafeInteger(diagonal))
      throw new ArgumentError(`diag: the diagonal must be a whole number, got ${diagonal}`);
    const sizes = x.shape.filter((size): size is number => typeof size === 'number');
    if (sizes.length !== x.rank || x.rank < 1 || x.rank > 2)
      throw new ShapeError(`diag: takes [N] or [N, M] of sizes that are numbers, got ${formatShape(x.shape)}`);
    const [down, right] = [Math.max(-diagonal, 0), Math.max(diagonal, 0)];
    if (x.rank === 1) return onDiagonal(x, down, right);
    const length = Math.min(sizes[0]! - down, sizes[1]! - right);
    if (length < 0) throw new ShapeError(`diag: ${formatShape(x.shape)} has no diagonal ${diagonal}`);
    const block = slice(slice(x, 0, down, down + length), 1, right, right + length);
    // from one value of the diagonal to the next is a row and one more
    return length === 0
      ? reshape(block, [0])
      : slice(reshape(block, [length * length]), 0, 0, length * length, length + 1);
  });
}

function onDiagonal(x: Tensor, down: number, right: number): Tensor {
  const size = x.shape[0]!;
  const place = arange(x.device, size);
  const square = where(reshape(place, [size, 1]).equal(place), x, full(x.device, [], 0, x.dtype));
  return pad(square, [down, right], [right, down]);
}
