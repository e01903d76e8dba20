import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import type { Dim } from '../../dim.ts';
import type { DType } from '../../dtype.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { checkSizes, formatShape } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { reshape } from '../movement/movement.ts';
import { arange, full } from './creation.ts';

/**
 * Ones on a diagonal and zeros elsewhere, `[rows, columns]`; diagonal 1 is the one above the main one, -1 that below.
 * @throws ArgumentError where the diagonal is no whole number; ShapeError for sizes that are none
 */
export function eye(
  device: Device,
  rows: Dim,
  columns: Dim = rows,
  options: { readonly diagonal?: number; readonly dtype?: DType } = {},
): Tensor {
  return calledAs('eye', () => {
    checkArguments('eye', 'device', { device });
    checkOptions('eye', options, { diagonal: 'number?', dtype: 'anything' });
    const { diagonal = 0, dtype = 'f32' } = options;
    checkDiagonal('eye', diagonal);
    checkSizes('eye', [rows, columns]);
    const row = reshape(arange(device, rows), [rows, 1]);
    return cast(row.add(diagonal).equal(arange(device, columns)), dtype);
  });
}

/**
 * `count` values at equal distances from `start` to `stop`, both included, as f32 `[count]`. Both ends are exact.
 * @throws ArgumentError where `count` is no positive integer
 */
export function linspace(device: Device, start: number, stop: number, count: number): Tensor {
  return calledAs('linspace', () => {
    checkArguments('linspace', 'device', { device });
    checkArguments('linspace', 'number', { start, stop });
    if (!Number.isSafeInteger(count) || count < 1)
      throw new ArgumentError(`linspace: the count must be a positive integer, got ${count}`);
    if (count === 1) return full(device, [1], start);
    const place = arange(device, count, 'f32');
    const value = place.mul((stop - start) / (count - 1)).add(start);
    return where(place.equal(count - 1), stop, value);
  });
}

/**
 * For each index (i32, any shape) a row of `classes` values, 1 at the index and 0 elsewhere: `[...indices, classes]`. An
 * index outside gets a row of zeros.
 * @throws DTypeError for indices that are not i32
 */
export function oneHot(indices: Tensor, classes: Dim, dtype: DType = 'f32'): Tensor {
  return calledAs('oneHot', () => {
    checkArguments('oneHot', 'tensor', { indices });
    if (indices.dtype !== 'i32') throw new DTypeError(`oneHot: indices must be i32, got ${indices.dtype}`);
    checkSizes('oneHot', [classes]);
    const column = reshape(indices, [...indices.shape, 1]);
    return cast(column.equal(arange(indices.device, classes)), dtype);
  });
}

/**
 * The last two axes of `x` up to a diagonal, and zeros (false) above it: 0 is the main diagonal, 1 the one above.
 * @throws ShapeError for fewer than two axes
 */
export function tril(x: Tensor, diagonal = 0): Tensor {
  return calledAs('tril', () => {
    checkArguments('tril', 'tensor', { x });
    return triangle('tril', x, diagonal, (row, column) => column.lessEqual(row.add(diagonal)));
  });
}

/** The last two axes of `x` from a diagonal on, and zeros (false) below it. @throws ShapeError for fewer than two axes */
export function triu(x: Tensor, diagonal = 0): Tensor {
  return calledAs('triu', () => {
    checkArguments('triu', 'tensor', { x });
    return triangle('triu', x, diagonal, (row, column) => column.greaterEqual(row.add(diagonal)));
  });
}

function triangle(name: string, x: Tensor, diagonal: number, keep: (row: Tensor, column: Tensor) => Tensor): Tensor {
  if (x.rank < 2) throw new ShapeError(`${name}: takes at least two axes, got ${formatShape(x.shape)}`);
  checkDiagonal(name, diagonal);
  const [rows, columns] = [x.shape.at(-2)!, x.shape.at(-1)!];
  const row = reshape(arange(x.device, rows), [rows, 1]);
  return where(keep(row, arange(x.device, columns)), x, full(x.device, [], 0, x.dtype));
}

function checkDiagonal(name: string, diagonal: number): void {
  if (diagonal !== (diagonal | 0))
    throw new ArgumentError(`${name}: the diagonal must be a whole number of 32 bits, got ${diagonal}`);
}
