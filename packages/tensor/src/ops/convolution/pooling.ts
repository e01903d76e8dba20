import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { full } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { where } from '../elementwise/where.ts';
import { max } from '../reduce/extremum.ts';
import { sum } from '../reduce/reduce.ts';
import { patches, type Window } from './patches.ts';

type Each = number | readonly number[];

/** How the window of a pooling operation moves; one number counts for all axes. */
export interface PoolOptions {
  /** By how many places the window moves; by default its size. */
  readonly stride?: Each;
  /** Places around `x` on both sides; none by default, at most half of the window. */
  readonly padding?: Each;
}

/** The values under the window `[N, C, window, ...places]`, and which of them are values of `x`. */
function windowed(
  name: string,
  axes: 1 | 2,
  x: Tensor,
  size: Each,
  { stride = size, padding = 0, dilation = 1 }: PoolOptions & { readonly dilation?: Each },
) {
  const letters = axes === 1 ? '[N, C, L]' : '[N, C, H, W]';
  if (!isFloat(x.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got ${x.dtype}`);
  if (x.rank !== axes + 2) throw new ShapeError(`${name}: takes ${letters}, got ${formatShape(x.shape)}`);
  const list = (what: string, value: Each, least: number): readonly number[] => {
    const each = typeof value === 'number' ? new Array<number>(axes).fill(value) : value;
    if (!Array.isArray(each) || each.length !== axes || !each.every((n) => Number.isSafeInteger(n) && n >= least))
      throw new ArgumentError(
        `${name}: ${what} must be ${axes === 1 ? 'a whole number' : 'one or two whole numbers'} from ${least}, got ${String(value)}`,
      );
    return each;
  };
  const kernel = list('the window', size, 1);
  const pads = list('padding', padding, 0);
  pads.forEach((pad, i) => {
    if (2 * pad > kernel[i]!)
      throw new ArgumentError(`${name}: padding must be at most half of the window, got ${pad} for ${kernel[i]}`);
  });
  const window: Window = {
    kernel,
    stride: list('stride', stride, 1),
    padding: pads.map((pad) => [pad, pad] as const),
    dilation: list('dilation', dilation, 1),
  };
  const isPadded = pads.some((pad) => pad > 0);
  const ones = () => full(x.device, [1, 1, ...x.shape.slice(2)], 1, 'f32');
  return {
    of: (values: Tensor) => patches(values, window),
    inside: isPadded ? patches(ones(), window).greater(0) : undefined,
  };
}

function maxPool(
  name: string,
  axes: 1 | 2,
  x: Tensor,
  size: Each,
  options: PoolOptions & { readonly dilation?: Each },
) {
  const { of, inside } = windowed(name, axes, x, size, options);
  const values = of(x);
  return max(inside ? where(inside, values, Number.NEGATIVE_INFINITY) : values, 2);
}

function avgPool(name: string, axes: 1 | 2, x: Tensor, size: Each, options: AvgPoolOptions): Tensor {
  const { of, inside } = windowed(name, axes, x, size, options);
  const values = of(cast(x, 'f32'));
  const total = sum(values, 2);
  const { countIncludePad = true } = options;
  const count = values.shape[2] as number;
  const mean = inside && !countIncludePad ? total.div(sum(cast(inside, 'f32'), 2)) : total.mul(1 / count);
  return cast(mean, x.dtype);
}

/** `countIncludePad`: whether places around `x` count as zeros (the default, as in PyTorch), or not at all. */
export interface AvgPoolOptions extends PoolOptions {
  readonly countIncludePad?: boolean;
}

/**
 * The largest value under a window of `size` that moves over the last axis of `x` `[N, C, L]`; places around `x` do not count.
 * Values that share a maximum share its gradient. f32 or f16.
 * @throws ShapeError where the window does not fit; DTypeError, ArgumentError
 */
export function maxPool1d(x: Tensor, size: number, options: PoolOptions & { readonly dilation?: number } = {}): Tensor {
  checkArguments('maxPool1d', 'tensor', { x });
  checkOptions('maxPool1d', options, ['stride', 'padding', 'dilation']);
  return maxPool('maxPool1d', 1, x, size, options);
}

/**
 * `maxPool1d` over the last two axes of `x` `[N, C, H, W]`; pairs are of the vertical and the horizontal axis.
 * @throws ShapeError, DTypeError, ArgumentError as there
 */
export function maxPool2d(x: Tensor, size: Each, options: PoolOptions & { readonly dilation?: Each } = {}): Tensor {
  checkArguments('maxPool2d', 'tensor', { x });
  checkOptions('maxPool2d', options, ['stride', 'padding', 'dilation']);
  return maxPool('maxPool2d', 2, x, size, options);
}

/**
 * The mean of the values under a window of `size` that moves over the last axis of `x` `[N, C, L]`, computed in f32. f32 or f16.
 * @throws ShapeError where the window does not fit; DTypeError, ArgumentError
 */
export function avgPool1d(x: Tensor, size: number, options: AvgPoolOptions = {}): Tensor {
  checkArguments('avgPool1d', 'tensor', { x });
  checkOptions('avgPool1d', options, { stride: 'anything', padding: 'anything', countIncludePad: 'boolean?' });
  return avgPool('avgPool1d', 1, x, size, options);
}

/**
 * `avgPool1d` over the last two axes of `x` `[N, C, H, W]`; pairs are of the vertical and the horizontal axis.
 * @throws ShapeError, DTypeError, ArgumentError as there
 */
export function avgPool2d(x: Tensor, size: Each, options: AvgPoolOptions = {}): Tensor {
  checkArguments('avgPool2d', 'tensor', { x });
  checkOptions('avgPool2d', options, { stride: 'anything', padding: 'anything', countIncludePad: 'boolean?' });
  return avgPool('avgPool2d', 2, x, size, options);
}
