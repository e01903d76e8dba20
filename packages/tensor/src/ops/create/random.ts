import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { describe } from '../../checks/describe.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import type { DType } from '../../dtype.ts';
import { isFloat } from '../../dtype.ts';
import { f16BitsToNumber, f32Bits, f32OfBits, numberToF16Bits, roundToF16 } from '../../float16.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { checkSizes, formatShape, type Shape, sizeOf } from '../../shape.ts';
import { shiftRight } from '../elementwise/bitwise.ts';
import { cast } from '../elementwise/cast.ts';
import { polynomial } from '../elementwise/polynomial.ts';
import { where } from '../elementwise/where.ts';
import { concat } from '../movement/concat.ts';
import { reshape } from '../movement/movement.ts';
import { arange, full } from './creation.ts';
import { threefry } from './threefry.ts';

/** What draws depend on, and on nothing else: a number of up to 53 bits, or a u32 tensor `[2]` where it changes from run to run. */
export type RandomKey = number | Tensor;

/** Second words of the counter: values of a tensor, and keys made of keys. */
const drawStream = 0;
const foldStream = 1;

/** The key of a seed as a tensor, u32 `[2]`. @throws ArgumentError where the seed is no whole number from 0 to 2^53 - 1 */
export function randomKey(device: Device, seed: number): Tensor {
  checkArguments('randomKey', 'device', { device });
  if (!Number.isSafeInteger(seed) || seed < 0)
    throw new ArgumentError(`randomKey: the seed must be a whole number from 0 to 2^53 - 1, got ${seed}`);
  const words = [seed >>> 0, Math.floor(seed / 2 ** 32)];
  return concat(
    words.map((word) => full(device, [1], word, 'u32')),
    0,
  );
}

function keyTensor(name: string, device: Device, key: RandomKey): Tensor {
  if (typeof key === 'number') return randomKey(device, key);
  if (!(key as Tensor | undefined)?.node)
    throw new ArgumentError(`${name}: the key must be a number or u32 [2], got ${describe(key)}`);
  if (key.dtype !== 'u32' || key.rank !== 1 || key.shape[0] !== 2)
    throw new DTypeError(`${name}: the key must be a number or u32 [2], got ${key.dtype} ${formatShape(key.shape)}`);
  return key;
}

/**
 * A key of its own for `salt`, a whole number or an i32 or u32 scalar (a layer, a step): draws with the result and with `key`,
 * or with the key of another salt, have nothing to do with each other. u32 `[2]`. A number as the key needs a tensor as the
 * salt, which says where; otherwise `randomKey(device, number)` makes a tensor of it.
 * @throws ShapeError where the salt is no scalar; DTypeError where it is no integer; ArgumentError where both are numbers
 */
export function foldKey(key: RandomKey, salt: number | Tensor): Tensor {
  return calledAs('foldKey', () => {
    if (typeof salt !== 'number' && !(salt as Tensor | undefined)?.node)
      throw new ArgumentError(`foldKey: the salt must be a number or a scalar tensor, got ${describe(salt)}`);
    const place = typeof key === 'number' ? salt : key;
    if (typeof place === 'number')
      throw new ArgumentError(
        `foldKey: two numbers are on no device, got ${key} and ${salt}; foldKey(randomKey(device, ${key}), ${salt}) is on one`,
      );
    const device = place?.device;
    const own = keyTensor('foldKey', device, key);
    if (typeof salt === 'number' && !(Number.isInteger(salt) && salt >= 0 && salt < 2 ** 32))
      throw new ArgumentError(`foldKey: the salt must be a whole number below 2^32, got ${salt}`);
    if (typeof salt !== 'number' && salt.rank !== 0)
      throw new ShapeError(`foldKey: the salt must be a scalar, got ${formatShape(salt.shape)}`);
    if (typeof salt !== 'number' && salt.dtype !== 'i32' && salt.dtype !== 'u32')
      throw new DTypeError(`foldKey: the salt must be i32 or u32, got ${salt.dtype}`);
    const counter = typeof salt === 'number' ? full(device, [1], salt, 'u32') : reshape(cast(salt, 'u32'), [1]);
    return concat(
      ([0, 1] as const).map((word) => threefry(own, counter, { stream: foldStream, word })),
      0,
    );
  });
}

/**
 * Random 32-bit words (u32): word i, row-major, is a function of `key` and i alone, and the same on every executor. Up to
 * 2^32 values of one key. The generator is threefry-2x32 with 20 rounds (https://doi.org/10.1145/2063384.2063405).
 * @throws DTypeError for a key that is neither a number nor u32 `[2]`; ShapeError for sizes that are none
 */
export function randomBits(device: Device, shape: Shape, key: RandomKey): Tensor {
  return calledAs('randomBits', () => {
    checkArguments('randomBits', 'device', { device });
    checkSizes('randomBits', shape);
    const counter = reshape(arange(device, sizeOf(shape), 'u32'), shape);
    return threefry(keyTensor('randomBits', device, key), counter, { stream: drawStream, word: 0 });
  });
}

/**
 * Values drawn evenly from `low` (by default 0) up to, but never, `high` (1): multiples of 2^-24 of the distance, in f16 of
 * 2^-11, rounded to the dtype between the limits. Equal on every executor for 0 and 1; with other limits within the last bit.
 * @throws DTypeError for other dtypes; ArgumentError where `low` is not below `high`, where the dtype does not hold them, and
 *   where it has no value from `low` up to `high`
 */
export function randomUniform(
  device: Device,
  shape: Shape,
  key: RandomKey,
  options: { readonly low?: number; readonly high?: number; readonly dtype?: DType } = {},
): Tensor {
  return calledAs('randomUniform', () => {
    checkArguments('randomUniform', 'device', { device });
    checkOptions('randomUniform', options, { low: 'number?', high: 'number?', dtype: 'anything' });
    const { low = 0, high = 1, dtype = 'f32' } = options;
    checkFloat('randomUniform', dtype);
    if (!(low < high)) throw new ArgumentError(`randomUniform: low must be below high, got ${low} and ${high}`);
    const [least, largest] = valuesBetween(low, high, dtype as 'f32' | 'f16');
    // as many digits as the dtype has: more would round up to the upper limit
    const digits = dtype === 'f16' ? 11 : 24;
    const unit = cast(shiftRight(randomBits(device, shape, key), 32 - digits), 'f32').mul(2 ** -digits);
    if (low === 0 && high === 1) return cast(unit, dtype);
    // the distance of limits may be more than f32 holds
    const value =
      high - low <= largestF32 ? unit.mul(high - low).add(low) : unit.neg().add(1).mul(low).add(unit.mul(high));
    return cast(cast(value, dtype).maximum(least).minimum(largest), dtype);
  });
}

const largestF32 = (2 - 2 ** -23) * 2 ** 127;

/** The least value of a dtype that is not below `low`, and the largest below `high`. @throws ArgumentError where there are none */
function valuesBetween(low: number, high: number, dtype: 'f32' | 'f16'): readonly [number, number] {
  const round = dtype === 'f16' ? roundToF16 : Math.fround;
  for (const limit of [low, high])
    if (!Number.isFinite(round(limit)))
      throw new ArgumentError(`randomUniform: the limits must be numbers that ${dtype} holds, got ${limit}`);
  const least = round(low) >= low ? round(low) : neighbour(round(low), 1, dtype);
  const largest = round(high) < high ? round(high) : neighbour(round(high), -1, dtype);
  if (least > largest) throw new ArgumentError(`randomUniform: ${dtype} has no value from ${low} up to ${high}`);
  return [least, largest];
}

/** The next value of a dtype above (1) or below (-1). */
function neighbour(value: number, side: 1 | -1, dtype: 'f32' | 'f16'): number {
  // the next normal one: GPUs may take what is less for 0
  if (value === 0) return side * (dtype === 'f16' ? 2 ** -14 : 2 ** -126);
  const bits = dtype === 'f16' ? numberToF16Bits(value) : f32Bits(value);
  const next = bits + (value > 0 === side > 0 ? 1 : -1);
  return dtype === 'f16' ? f16BitsToNumber(next) : f32OfBits(next);
}

/**
 * Values of the normal distribution of `mean` (by default 0) and `deviation` (1), in f32 or f16, from 23 random bits each.
 * Executors agree within 1e-6 of the deviation, and of the value where that is larger.
 * @throws DTypeError for other dtypes; ArgumentError for a negative deviation
 */
export function randomNormal(
  device: Device,
  shape: Shape,
  key: RandomKey,
  options: { readonly mean?: number; readonly deviation?: number; readonly dtype?: DType } = {},
): Tensor {
  return calledAs('randomNormal', () => {
    checkArguments('randomNormal', 'device', { device });
    checkOptions('randomNormal', options, { mean: 'number?', deviation: 'number?', dtype: 'anything' });
    const { mean = 0, deviation = 1, dtype = 'f32' } = options;
    checkFloat('randomNormal', dtype);
    if (!(deviation >= 0))
      throw new ArgumentError(`randomNormal: the deviation must not be negative, got ${deviation}`);
    // an odd multiple of 2^-23 between -1 and 1: symmetric, never 0 or an end, and exact in f32
    const odd = cast(shiftRight(randomBits(device, shape, key), 9), 'f32')
      .mul(2)
      .add(1 - 2 ** 23);
    const value = inverseErf(odd.mul(2 ** -23)).mul(Math.SQRT2 * deviation);
    return cast(mean === 0 ? value : value.add(mean), dtype);
  });
}

const centralCoefficients = [
  1.50140941, 0.246640727, -0.00417768164, -0.00125372503, 0.00021858087, -4.39150654e-6, -3.5233877e-6, 3.43273939e-7,
  2.81022636e-8,
] as const;
const tailCoefficients = [
  2.83297682, 1.00167406, 0.00943887047, -0.0076224613, 0.00573950773, -0.00367342844, 0.00134934322, 0.000100950558,
  -0.000200214257,
] as const;

/**
 * The inverse of the error function between -1 and 1, within 2e-7 of the value. It takes a logarithm that need only be exact
 * absolutely, so that executors with a coarse one agree. Source: M. Giles, Approximating the erfinv function (GPU Computing
 * Gems, 2011), https://people.maths.ox.ac.uk/gilesm/files/gems_erfinv.pdf
 */
function inverseErf(x: Tensor): Tensor {
  const w = x.neg().add(1).mul(x.add(1)).log().neg();
  const central = polynomial(w.minimum(5).sub(2.5), centralCoefficients);
  const tail = polynomial(w.maximum(5).sqrt().sub(3), tailCoefficients);
  return where(w.less(5), central, tail).mul(x);
}

function checkFloat(name: string, dtype: DType): void {
  if (!isFloat(dtype)) throw new DTypeError(`${name}: dtype must be f32 or f16, got ${String(dtype)}`);
}
