import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { dimsEqual, divideDims, multiplyDims, subtractDims } from '../../dim.ts';
import { isFloat, promote } from '../../dtype.ts';
import { defineOp, type GradientContext, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, type Shape, sizeOf, type TensorType } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { matmul } from '../matmul/matmul.ts';
import { flip } from '../movement/flip.ts';
import { permute, reshape } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { convolutionReference } from './convolution.reference.ts';
import { fitAxis, patches, spread, type Window, windowPlaces } from './patches.ts';

export interface ConvolutionAttributes extends Window {
  readonly groups: number;
}

/** Padding of an axis: the same on both sides, or before and after. */
export type AxisPadding = number | readonly [before: number, after: number];

function defineConvolution(name: string, axes: 1 | 2): Op<ConvolutionAttributes> {
  const letters = axes === 1 ? '[N, C, L]' : '[N, C, H, W]';
  return defineOp<ConvolutionAttributes>({
    name,
    shape([x, weight], attributes): readonly TensorType[] {
      const { groups } = attributes;
      const shapes = `${formatShape(x!.shape)} and ${formatShape(weight!.shape)}`;
      if (x!.shape.length !== axes + 2 || weight!.shape.length !== axes + 2)
        throw new ShapeError(`${name}: takes x ${letters} and a weight of ${axes + 2} axes, got ${shapes}`);
      const [outputs, each] = weight!.shape as [number, number];
      if (!dimsEqual(multiplyDims(each, groups), x!.shape[1]!) || divideDims(outputs, groups) === undefined)
        throw new ShapeError(
          `${name}: with ${groups} groups the weight must be [a multiple of ${groups}, C / ${groups}, ...], got ${shapes}`,
        );
      const places = windowPlaces(name, x!.shape.slice(2), attributes);
      return [{ shape: [x!.shape[0]!, outputs, ...places], dtype: x!.dtype }];
    },
    gradient: (context) => gradients(axes, context),
    // the values under the window as columns of a matrix
    decompose([x, weight], { groups, ...window }) {
      const columns = patches(x!, window);
      const product = matmul(groupedWeight(weight!, groups), groupedColumns(columns, groups));
      return [reshape(product, [x!.shape[0]!, weight!.shape[0]!, ...columns.shape.slice(3)])];
    },
    lower: {
      reference: { run: convolutionReference },
      onnx: {
        // the runtime takes no axis of nothing but padding
        supports: ({ inputs: [x] }) => !x!.shape.slice(2).includes(0),
        emit: (builder, inputs, { attributes: { kernel, stride, padding, dilation, groups } }) =>
          builder.op('Conv', inputs, {
            attributes: {
              kernel_shape: kernel,
              strides: stride,
              dilations: dilation,
              group: groups,
              pads: [...padding.map(([before]) => before), ...padding.map(([, after]) => after)],
            },
          }),
      },
    },
  });
}

const conv1dOp: Op<ConvolutionAttributes> = defineConvolution('conv1d', 1);
const conv2dOp: Op<ConvolutionAttributes> = defineConvolution('conv2d', 2);

/** `[O, C / groups, ...window]` as `[groups, O / groups, C / groups * window]`. */
function groupedWeight(weight: Tensor, groups: number): Tensor {
  const outputs = divideDims(weight.shape[0]!, groups)!;
  return reshape(weight, [groups, outputs, sizeOf(weight.shape.slice(1))]);
}

/** `[N, C, window, ...places]` as `[N, groups, C / groups * window, places]`. */
function groupedColumns(columns: Tensor, groups: number): Tensor {
  const [batch, channels, window, ...places] = columns.shape;
  const each = divideDims(channels!, groups)!;
  return reshape(columns, [batch!, groups, multiplyDims(each, window!), sizeOf(places)]);
}

function gradients(
  axes: 1 | 2,
  { inputs: [x, weight], outputGradients: [g], needs, attributes }: GradientContext<ConvolutionAttributes>,
): readonly (Tensor | undefined)[] {
  return [
    needs[0] ? inputGradient(axes, x!.shape, weight!, g!, attributes) : undefined,
    needs[1] ? weightGradient(x!, weight!.shape, g!, attributes) : undefined,
  ];
}

/** A convolution of the gradient, its values as far apart as the window moved, with the window turned around. */
export function inputGradient(
  axes: 1 | 2,
  shape: Shape,
  weight: Tensor,
  g: Tensor,
  { kernel, stride, padding, dilation, groups }: ConvolutionAttributes,
): Tensor {
  const [outputs, each, ...window] = weight.shape;
  const split = reshape(weight, [groups, divideDims(outputs!, groups)!, each!, ...window]);
  const swapped = permute(split, [0, 2, 1, ...kernel.map((_, i) => i + 3)]);
  const turned = flip(
    reshape(swapped, [shape[1]!, divideDims(outputs!, groups)!, ...window]),
    kernel.map((_, i) => i + 2),
  );
  const apart = kernel.reduce(
    (y, size, i) => {
      const reach = dilation[i]! * (size - 1);
      const before = reach - padding[i]![0];
      const after = subtractDims(subtractDims(shape[i + 2]!, y.shape[i + 2]!), before - reach);
      return fitAxis(y, i + 2, before, after as number);
    },
    spread(g, stride),
  );
  return convolve(axes, apart, turned, {
    kernel,
    stride: kernel.map(() => 1),
    padding: kernel.map(() => [0, 0] as const),
    dilation,
    groups,
  });
}

/** Products of the gradient with the values under the window, summed over places and the batch. */
function weightGradient(x: Tensor, shape: Shape, g: Tensor, { groups, ...window }: ConvolutionAttributes): Tensor {
  const columns = groupedColumns(patches(x, window), groups);
  const [batch, outputs, ...places] = g.shape;
  const rows = reshape(g, [batch!, groups, divideDims(outputs!, groups)!, sizeOf(places)]);
  return reshape(sum(matmul(rows, columns, { transposeB: true }), 0), shape);
}

function convolve(axes: 1 | 2, x: Tensor, weight: Tensor, attributes: ConvolutionAttributes): Tensor {
  return recordOne(axes === 1 ? conv1dOp : conv2dOp, [x, weight], attributes);
}

interface Options<Each, Pads> {
  /** `[O]`, added to each channel of the result. */
  readonly bias?: Tensor;
  /** By how many places the window moves; 1 by default. */
  readonly stride?: Each;
  /** Zeros around `x`; none by default. */
  readonly padding?: Pads;
  /** Distance of the window's values; 1 by default. */
  readonly dilation?: Each;
  /** Channels are divided into that many groups, which do not mix; 1 by default. */
  readonly groups?: number;
}
/** How the window of `conv1d` moves, and what is added. */
export type Conv1dOptions = Options<number, AxisPadding>;
/** How the window of `conv2d` moves, and what is added; pairs are of the vertical and the horizontal axis. */
export type Conv2dOptions = Options<number | readonly [number, number], number | readonly [AxisPadding, AxisPadding]>;

/**
 * Convolution (the window is not turned around) over one axis: `x` is `[N, C, L]`, `weight` `[O, C / groups, K]`; the result is
 * `[N, O, (L + padding - dilation (K - 1) - 1) / stride + 1]`, rounded down. f32 or f16, summed in f32. `L` may be a named
 * dimension where the stride is 1.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function conv1d(x: Tensor, weight: Tensor, options: Conv1dOptions = {}): Tensor {
  return calledAs('conv1d', () => {
    checkArguments('conv1d', 'tensor', { x, weight });
    checkOptions('conv1d', options, {
      bias: 'tensor?',
      stride: 'anything',
      padding: 'anything',
      dilation: 'anything',
      groups: 'number?',
    });
    const { stride = 1, padding = 0, dilation = 1 } = options;
    return convolution('conv1d', 1, x, weight, options, { stride: [stride], padding: [padding], dilation: [dilation] });
  });
}

/**
 * Convolution (the window is not turned around) over two axes: `x` is `[N, C, H, W]`, `weight` `[O, C / groups, KH, KW]`;
 * otherwise as `conv1d`. One number of stride, padding or dilation counts for both axes.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function conv2d(x: Tensor, weight: Tensor, options: Conv2dOptions = {}): Tensor {
  return calledAs('conv2d', () => {
    checkArguments('conv2d', 'tensor', { x, weight });
    checkOptions('conv2d', options, {
      bias: 'tensor?',
      stride: 'anything',
      padding: 'anything',
      dilation: 'anything',
      groups: 'number?',
    });
    const both = <T>(value: T | readonly [T, T]) =>
      Array.isArray(value) ? (value as readonly [T, T]) : [value as T, value as T];
    const { stride = 1, padding = 0, dilation = 1 } = options;
    return convolution('conv2d', 2, x, weight, options, {
      stride: both(stride),
      padding: both(padding) as readonly AxisPadding[],
      dilation: both(dilation),
    });
  });
}

function convolution(
  name: string,
  axes: 1 | 2,
  x: Tensor,
  weight: Tensor,
  { bias, groups = 1 }: { readonly bias?: Tensor; readonly groups?: number },
  window: {
    readonly stride: readonly number[];
    readonly padding: readonly AxisPadding[];
    readonly dilation: readonly number[];
  },
): Tensor {
  if (!isFloat(x.dtype) || !isFloat(weight.dtype))
    throw new DTypeError(`${name}: takes f32 or f16, got ${x.dtype} and ${weight.dtype}`);
  const padding = window.padding.map((pad) => (typeof pad === 'number' ? ([pad, pad] as const) : pad));
  for (const [what, list] of Object.entries({ stride: window.stride, padding, dilation: window.dilation }))
    if (list.length !== axes)
      throw new ArgumentError(
        `${name}: ${what} must be a number, or one for each of ${axes} axes, got [${String(list)}]`,
      );
  if (!padding.every((pair) => Array.isArray(pair) && pair.length === 2))
    throw new ArgumentError(`${name}: padding must be of numbers or pairs of them, got [${String(padding)}]`);
  const whole = (value: number, least: number) => Number.isSafeInteger(value) && value >= least;
  if (![...window.stride, ...window.dilation, groups].every((value) => whole(value, 1)))
    throw new ArgumentError(
      `${name}: stride, dilation and groups must be positive integers, got [${window.stride}], [${window.dilation}], ${groups}`,
    );
  if (!padding.flat().every((value) => whole(value, 0)))
    throw new ArgumentError(`${name}: padding must be of whole numbers from 0, got [${padding.join('; ')}]`);
  const kernel = weight.shape.slice(2);
  if (!kernel.every((size): size is number => typeof size === 'number' && size > 0))
    throw new ShapeError(`${name}: sizes of the window must be positive numbers, got ${formatShape(weight.shape)}`);
  if (bias && (bias.rank !== 1 || !dimsEqual(bias.shape[0]!, weight.shape[0]!)))
    throw new ShapeError(`${name}: the bias must be [${weight.shape[0]}], got ${formatShape(bias.shape)}`);
  const dtype = promote(x.dtype, weight.dtype);
  const { stride, dilation } = window;
  const y = convolve(axes, cast(x, dtype), cast(weight, dtype), { kernel, stride, padding, dilation, groups });
  return bias ? cast(y.add(reshape(bias, [bias.shape[0]!, ...kernel.map(() => 1)])), dtype) : y;
}
