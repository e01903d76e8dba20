import { ShapeError } from '../../checks/errors.ts';
import { dimsEqual } from '../../dim.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, type Shape } from '../../shape.ts';

/** Sums a gradient over the axes along which a value of `shape` was broadcast. @throws ShapeError where it cannot have been */
export function sumTo(x: Tensor, shape: Shape): Tensor {
  const extra = x.rank - shape.length;
  if (extra < 0) throw new ShapeError(`sumTo: ${formatShape(x.shape)} has fewer axes than ${formatShape(shape)}`);
  const axes = x.shape.flatMap((dim, i) => (i < extra || (shape[i - extra] === 1 && !dimsEqual(dim, 1)) ? [i] : []));
  return axes.length === 0 ? x : x.sum(axes).reshape(shape);
}
