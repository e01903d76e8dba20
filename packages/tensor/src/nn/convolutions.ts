import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import type { Device } from '../graph/device.ts';
import { type Conv1dOptions, type Conv2dOptions, conv1d, conv2d } from '../ops/convolution/convolution.ts';
import { checkLayer, drawnKinds, type Layer, type LayerOptions, layerDType, layerOf } from './layer.ts';
import { type WeightAndBias, weightAndBias } from './linear.ts';

interface Sizes<Window> extends LayerOptions {
  /** Channels of the input and of the output. */
  readonly inputs: number;
  readonly outputs: number;
  /** Sizes of the window. */
  readonly kernel: Window;
  /** Whether a bias is added (default true). */
  readonly bias?: boolean;
}
/** Sizes of a convolution over one axis, and how its window moves. */
export type Conv1dLayerOptions = Sizes<number> & Omit<Conv1dOptions, 'bias'>;
/** Sizes of a convolution over two axes, and how its window moves; one number counts for both axes. */
export type Conv2dLayerOptions = Sizes<number | readonly [number, number]> & Omit<Conv2dOptions, 'bias'>;

/**
 * A convolution over one axis: x `[N, inputs, L]` to `[N, outputs, L']`, with a weight `[outputs, inputs / groups, kernel]`, drawn as
 * PyTorch draws it. Owned by the caller. @throws ArgumentError, OutOfMemoryError
 */
export function createConv1d(device: Device, options: Conv1dLayerOptions): Layer<WeightAndBias> {
  const { parameters, moves } = convolution('createConv1d', device, options, [options?.kernel]);
  return layerOf('conv1d layer', parameters, (x) => conv1d(x, parameters.weight, { ...moves, ...biasOf(parameters) }));
}

/**
 * A convolution over two axes: x `[N, inputs, H, W]` to `[N, outputs, H', W']`, with a weight `[outputs, inputs / groups, KH, KW]`,
 * drawn as PyTorch draws it. Owned by the caller. @throws ArgumentError, OutOfMemoryError
 */
export function createConv2d(device: Device, options: Conv2dLayerOptions): Layer<WeightAndBias> {
  const kernel = options?.kernel;
  const window = Array.isArray(kernel) ? (kernel as readonly number[]) : [kernel as number, kernel as number];
  const { parameters, moves } = convolution('createConv2d', device, options, window);
  return layerOf('conv2d layer', parameters, (x) => conv2d(x, parameters.weight, { ...moves, ...biasOf(parameters) }));
}

function biasOf({ bias }: WeightAndBias) {
  return bias ? { bias } : {};
}

/** One number, or one for each axis. */
function checkMoves(name: string, options: object, axes: number): void {
  for (const [move, value] of Object.entries(options)) {
    if (!['stride', 'padding', 'dilation'].includes(move) || value === undefined) continue;
    const numbers: unknown = axes > 1 && Array.isArray(value) ? value : [value];
    const list = numbers as readonly unknown[];
    const fits = list.length > 0 && list.every((one) => Number.isSafeInteger(one) && (one as number) >= 0);
    if (!fits) throw new ArgumentError(`${name}: ${move} must be a whole number from 0, got ${describe(value)}`);
  }
}

function convolution<O extends Sizes<unknown> & { readonly groups?: number }>(
  name: string,
  device: Device,
  options: O,
  kernel: readonly number[],
): { readonly parameters: WeightAndBias; readonly moves: Pick<O, Exclude<keyof O, keyof Sizes<unknown>>> } {
  checkOptions(name, options, {
    ...drawnKinds,
    inputs: 'size',
    outputs: 'size',
    kernel: 'anything',
    groups: 'size?',
    stride: 'anything',
    padding: 'anything',
    dilation: 'anything',
  });
  checkMoves(name, options, kernel.length);
  const { inputs, outputs, bias = true, seed, dtype, kernel: _, ...rest } = options;
  const { groups = 1 } = options;
  checkLayer(name, device, { inputs, outputs, groups, kernel: Math.min(...kernel.map(Number)) });
  if (inputs % groups !== 0 || outputs % groups !== 0)
    throw new ArgumentError(`${name}: groups must divide inputs and outputs, got ${groups}, ${inputs} and ${outputs}`);
  return {
    parameters: weightAndBias(name, device, [outputs, inputs / groups, ...kernel], bias, seed, layerDType(name, dtype)),
    moves: rest as never,
  };
}
