import { checkOptions } from '../checks/check-options.ts';
import { describe } from '../checks/describe.ts';
import { ArgumentError, ShapeError } from '../checks/errors.ts';
import { threefry2x32, uniformFromBits } from '../random/random-bits.ts';
import { checkSizes, formatShape, sizeOf } from '../shape.ts';

/** How values are drawn: those of one seed and shape are the same on every machine. */
export interface DrawOptions {
  /** A whole number from 0. */
  readonly seed: number;
}

/** How widely Kaiming's values are drawn. */
export interface KaimingOptions extends DrawOptions {
  /** The slope below 0 of the leaky ReLU that follows; 0, a ReLU, by default. For 'linear' there is none. */
  readonly negativeSlope?: number;
  /** What follows: 'leakyRelu' by default. */
  readonly nonlinearity?: 'leakyRelu' | 'linear';
  /** Whether the variance is kept forwards ('fanIn', the default) or backwards. */
  readonly mode?: 'fanIn' | 'fanOut';
}

/** How widely Xavier's values are drawn. */
export interface XavierOptions extends DrawOptions {
  /** What the deviation is multiplied by; 1 by default. */
  readonly gain?: number;
}

/** Values that are drawn evenly between `low` and `high`, row-major, for a tensor of `shape`. @throws ArgumentError, ShapeError */
export function uniformValues(
  shape: readonly number[],
  options: DrawOptions & { readonly low?: number; readonly high?: number },
): Float32Array<ArrayBuffer> {
  check('uniformValues', shape, options, ['low', 'high']);
  const { seed, low = 0, high = 1 } = options;
  if (!(Number.isFinite(low) && Number.isFinite(high) && low <= high))
    throw new ArgumentError(`uniformValues: low must be at most high, both finite, got ${low} and ${high}`);
  const draw = drawer(seed);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => low + (high - low) * draw(i));
}

/** Values of a normal distribution, row-major, for a tensor of `shape`. @throws ArgumentError, ShapeError */
export function normalValues(
  shape: readonly number[],
  options: DrawOptions & { readonly mean?: number; readonly std?: number },
): Float32Array<ArrayBuffer> {
  check('normalValues', shape, options, ['mean', 'std']);
  const { seed, mean = 0, std = 1 } = options;
  if (!(Number.isFinite(mean) && Number.isFinite(std) && std >= 0))
    throw new ArgumentError(`normalValues: mean must be finite and std from 0, got ${mean} and ${std}`);
  const draw = drawer(seed);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => mean + std * normal(draw, i));
}

/** A normal distribution without what is further than two deviations from its mean. @throws ArgumentError, ShapeError */
export function truncatedNormalValues(
  shape: readonly number[],
  options: DrawOptions & { readonly mean?: number; readonly std?: number },
): Float32Array<ArrayBuffer> {
  check('truncatedNormalValues', shape, options, ['mean', 'std']);
  const { seed, mean = 0, std = 1 } = options;
  if (!(Number.isFinite(mean) && Number.isFinite(std) && std >= 0))
    throw new ArgumentError(`truncatedNormalValues: mean must be finite and std from 0, got ${mean} and ${std}`);
  const draw = drawer(seed);
  return Float32Array.from({ length: sizeOf(shape) }, (_, i) => {
    for (let attempt = 0; ; attempt++) {
      const value = normal(draw, i, attempt);
      if (Math.abs(value) <= 2) return mean + std * value;
    }
  });
}

/**
 * Kaiming He's even distribution: the variance of what passes through stays with ReLUs (https://arxiv.org/abs/1502.01852).
 * @param shape of a weight, outputs first: `[out, in, ...window]`
 * @throws ShapeError for a shape of fewer than two sizes; ArgumentError for a seed that is none
 */
export function kaimingUniform(shape: readonly number[], options: KaimingOptions): Float32Array<ArrayBuffer> {
  const bound = Math.sqrt(3) * kaimingStd('kaimingUniform', shape, options);
  return uniformValues(shape, { seed: options.seed, low: -bound, high: bound });
}

/**
 * Kaiming He's normal distribution (https://arxiv.org/abs/1502.01852). @param shape of a weight, outputs first
 * @throws ShapeError for a shape of fewer than two sizes; ArgumentError for a seed that is none
 */
export function kaimingNormal(shape: readonly number[], options: KaimingOptions): Float32Array<ArrayBuffer> {
  const std = kaimingStd('kaimingNormal', shape, options);
  return normalValues(shape, { seed: options.seed, std });
}

/**
 * Xavier Glorot's even distribution (https://proceedings.mlr.press/v9/glorot10a.html). @param shape of a weight, outputs first
 * @throws ShapeError for a shape of fewer than two sizes; ArgumentError for a seed that is none
 */
export function xavierUniform(shape: readonly number[], options: XavierOptions): Float32Array<ArrayBuffer> {
  const bound = Math.sqrt(3) * xavierStd('xavierUniform', shape, options);
  return uniformValues(shape, { seed: options.seed, low: -bound, high: bound });
}

/**
 * Xavier Glorot's normal distribution (https://proceedings.mlr.press/v9/glorot10a.html). @param shape of a weight, outputs
 * first
 * @throws ShapeError for a shape of fewer than two sizes; ArgumentError for a seed that is none
 */
export function xavierNormal(shape: readonly number[], options: XavierOptions): Float32Array<ArrayBuffer> {
  const std = xavierStd('xavierNormal', shape, options);
  return normalValues(shape, { seed: options.seed, std });
}

/** How many values one output is made of, and one input goes into. */
function fans(name: string, shape: readonly number[]): { readonly fanIn: number; readonly fanOut: number } {
  if (shape.length < 2)
    throw new ShapeError(`${name}: takes the shape of a weight, [out, in, ...window], got ${formatShape(shape)}`);
  const window = sizeOf(shape.slice(2));
  return { fanIn: shape[1]! * window, fanOut: shape[0]! * window };
}

function kaimingStd(name: string, shape: readonly number[], options: KaimingOptions): number {
  check(name, shape, options, ['negativeSlope', 'nonlinearity', 'mode']);
  const { negativeSlope = 0, nonlinearity = 'leakyRelu', mode = 'fanIn' } = options;
  if (!Number.isFinite(negativeSlope))
    throw new ArgumentError(`${name}: negativeSlope must be a number, got ${describe(negativeSlope)}`);
  if (nonlinearity !== 'leakyRelu' && nonlinearity !== 'linear')
    throw new ArgumentError(`${name}: nonlinearity takes leakyRelu, linear, got ${describe(nonlinearity)}`);
  if (mode !== 'fanIn' && mode !== 'fanOut')
    throw new ArgumentError(`${name}: mode takes fanIn, fanOut, got ${describe(mode)}`);
  const gain = nonlinearity === 'linear' ? 1 : Math.sqrt(2 / (1 + negativeSlope ** 2));
  return gain / Math.sqrt(Math.max(1, fans(name, shape)[mode]));
}

function xavierStd(name: string, shape: readonly number[], options: XavierOptions): number {
  check(name, shape, options, ['gain']);
  const { gain = 1 } = options;
  if (!(Number.isFinite(gain) && gain >= 0))
    throw new ArgumentError(`${name}: gain must be a number from 0, got ${describe(gain)}`);
  const { fanIn, fanOut } = fans(name, shape);
  return gain * Math.sqrt(2 / Math.max(1, fanIn + fanOut));
}

function check(name: string, shape: readonly number[], options: DrawOptions, more: readonly string[]): void {
  if (!Array.isArray(shape)) throw new ShapeError(`${name}: takes a shape, got ${describe(shape)}`);
  checkSizes(name, shape);
  checkOptions(name, options, ['seed', ...more]);
  if (!Number.isSafeInteger(options.seed) || options.seed < 0)
    throw new ArgumentError(`${name}: seed must be a whole number from 0, got ${describe(options.seed)}`);
}

/** Numbers in [0, 1) by their place; `stream` tells draws of one place apart. */
type Draw = (place: number, stream?: number) => number;

function drawer(seed: number): Draw {
  const [low, high] = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  return (place, stream = 0) => uniformFromBits(threefry2x32(low, high, place, stream));
}

/** By Box and Muller, of two draws. */
function normal(draw: Draw, place: number, attempt = 0): number {
  const radius = Math.sqrt(-2 * Math.log(1 - draw(place, 2 * attempt)));
  return radius * Math.cos(2 * Math.PI * draw(place, 2 * attempt + 1));
}
