import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { dimsEqual, divideDims } from '../../dim.ts';
import { isFloat, promote } from '../../dtype.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { reshape } from '../movement/movement.ts';
import { inputGradient } from './convolution.ts';

interface Options<Each> {
  /** `[O]`, added to each channel of the result. */
  readonly bias?: Tensor;
  /** How far apart the values of `x` are put; 1 by default. */
  readonly stride?: Each;
  /** What is cut off from both ends of the result; none by default. */
  readonly padding?: Each;
  /** What is added at the end of the result, less than the stride: which of several lengths is meant; none by default. */
  readonly outputPadding?: Each;
  /** Distance of the window's values; 1 by default. */
  readonly dilation?: Each;
  /** Channels are divided into that many groups, which do not mix; 1 by default. */
  readonly groups?: number;
}
/** How the window of `convTranspose1d` moves, and what is added. */
export type ConvTranspose1dOptions = Options<number>;
/** How the window of `convTranspose2d` moves, and what is added; pairs are of the vertical and the horizontal axis. */
export type ConvTranspose2dOptions = Options<number | readonly [number, number]>;

/**
 * Transposed convolution over one axis: what `conv1d` does to a gradient. `x` is `[N, C, L]`, `weight` `[C, O / groups, K]`; the
 * result is `[N, O, (L - 1) stride - 2 padding + dilation (K - 1) + outputPadding + 1]`. f32 or f16, summed in f32. Sizes are
 * numbers.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function convTranspose1d(x: Tensor, weight: Tensor, options: ConvTranspose1dOptions = {}): Tensor {
  return calledAs('convTranspose1d', () => {
    checkArguments('convTranspose1d', 'tensor', { x, weight });
    checkOptions('convTranspose1d', options, {
      bias: 'tensor?',
      stride: 'anything',
      padding: 'anything',
      outputPadding: 'anything',
      dilation: 'anything',
      groups: 'number?',
    });
    return transposed('convTranspose1d', 1, x, weight, options);
  });
}

/**
 * Transposed convolution over two axes: `x` is `[N, C, H, W]`, `weight` `[C, O / groups, KH, KW]`; otherwise as
 * `convTranspose1d`.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function convTranspose2d(x: Tensor, weight: Tensor, options: ConvTranspose2dOptions = {}): Tensor {
  return calledAs('convTranspose2d', () => {
    checkArguments('convTranspose2d', 'tensor', { x, weight });
    checkOptions('convTranspose2d', options, {
      bias: 'tensor?',
      stride: 'anything',
      padding: 'anything',
      outputPadding: 'anything',
      dilation: 'anything',
      groups: 'number?',
    });
    return transposed('convTranspose2d', 2, x, weight, options);
  });
}

function transposed(
  name: string,
  axes: 1 | 2,
  x: Tensor,
  weight: Tensor,
  options: Options<number | readonly [number, number]>,
): Tensor {
  const { bias, groups = 1 } = options;
  const shapes = `${formatShape(x.shape)} and ${formatShape(weight.shape)}`;
  if (!isFloat(x.dtype) || !isFloat(weight.dtype))
    throw new DTypeError(`${name}: takes f32 or f16, got ${x.dtype} and ${weight.dtype}`);
  if (x.rank !== axes + 2 || weight.rank !== axes + 2 || !dimsEqual(x.shape[1]!, weight.shape[0]!))
    throw new ShapeError(
      `${name}: takes x [N, C, ...] and a weight [C, O / groups, ...] of ${axes + 2} axes, got ${shapes}`,
    );
  if (
    !x.shape
      .slice(1)
      .concat(weight.shape)
      .every((size) => typeof size === 'number')
  )
    throw new ShapeError(`${name}: sizes but the batch's must be numbers, got ${shapes}`);
  const each = (
    what: string,
    value: number | readonly [number, number] | undefined,
    otherwise: number,
    least: number,
  ) => {
    if (value === null) throw new ArgumentError(`${name}: ${what} must be of whole numbers from ${least}, got null`);
    const list = typeof value === 'object' ? value : new Array<number>(axes).fill(value ?? otherwise);
    if (list.length !== axes || !list.every((n) => Number.isSafeInteger(n) && n >= least))
      throw new ArgumentError(`${name}: ${what} must be of whole numbers from ${least}, got [${list}]`);
    return list;
  };
  const [stride, dilation] = [each('stride', options.stride, 1, 1), each('dilation', options.dilation, 1, 1)];
  const [padding, more] = [each('padding', options.padding, 0, 0), each('outputPadding', options.outputPadding, 0, 0)];
  more.forEach((size, i) => {
    if (size >= Math.max(stride[i]!, dilation[i]!))
      throw new ArgumentError(`${name}: outputPadding must be less than stride or dilation, got [${more}]`);
  });
  if (!Number.isSafeInteger(groups) || groups < 1 || divideDims(x.shape[1]!, groups) === undefined)
    throw new ShapeError(`${name}: ${x.shape[1]} channels do not divide into ${groups} groups`);
  const outputs = (weight.shape[1] as number) * groups;
  if (bias && (bias.rank !== 1 || bias.shape[0] !== outputs))
    throw new ShapeError(`${name}: the bias must be [${outputs}], got ${formatShape(bias.shape)}`);
  const kernel = weight.shape.slice(2) as number[];
  const places = kernel.map(
    (size, i) =>
      ((x.shape[i + 2] as number) - 1) * stride[i]! - 2 * padding[i]! + dilation[i]! * (size - 1) + more[i]! + 1,
  );
  if (places.some((size) => size < 1) || kernel.includes(0) || x.shape.slice(2).includes(0))
    throw new ShapeError(`${name}: the result has no places, for ${shapes}`);
  const dtype = promote(x.dtype, weight.dtype);
  const y = inputGradient(axes, [x.shape[0]!, outputs, ...places], cast(weight, dtype), cast(x, dtype), {
    kernel,
    stride,
    dilation,
    groups,
    padding: padding.map((pad) => [pad, pad] as const),
  });
  return bias ? cast(y.add(reshape(bias, [outputs, ...kernel.map(() => 1)])), dtype) : y;
}
