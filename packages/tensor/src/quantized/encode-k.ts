import { f16BitsToNumber, numberToF16Bits } from '../float16.ts';
import { scaleAndMinimum } from './decode-k.ts';
import { type BlockEncoder, largest, putHalf } from './encode-simple.ts';

/*
 * Quantisers of blocks of 256 values, which look for the scales with the least weighted error, as ggml does. Each value is
 * looked at some twenty times, so the loops here allocate nothing and keep what does not change in arrays of their own, which
 * every call writes anew.
 */

const { fround, abs, sqrt, max, min } = Math;

/** Added and subtracted again, it rounds to the nearest whole number, from the middle to the even one. */
const rounding = 1.5 * 2 ** 52;

function nearest(x: number): number {
  return x + rounding - rounding;
}
/** NaN stays NaN. */
function clamp(x: number, low: number, high: number): number {
  return x < low ? low : x > high ? high : x;
}
/** Below this a block counts as zeros. */
const tiny = 1e-15;

/** What the largest value becomes in each attempt at a symmetric scale: -32 first, then others around it. */
const extremes = Float64Array.from({ length: 19 }, (_, attempt) => {
  const shift = attempt === 0 ? 0 : attempt <= 9 ? attempt - 10 : attempt - 9;
  return -(32 + fround(0.1 * shift));
});
const squares = new Float64Array(16);
const cubes = new Float64Array(16);

/** The scale with which levels -32 to 31 come nearest to 16 values, larger values weighing more. */
function symmetricScale(values: Float32Array, words: Uint32Array, from: number): number {
  const most = largest(values, words, from, 16);
  if (abs(most) < tiny) return 0;
  if (!Number.isFinite(most)) return most;
  for (let i = 0; i < 16; i++) {
    const x = values[from + i]!;
    squares[i] = x * x;
    cubes[i] = x * x * x;
  }
  let scale = 0;
  let best = 0;
  for (let attempt = 0; attempt < 19; attempt++) {
    const inverse = fround(extremes[attempt]! / most);
    let byLevel = 0;
    let levels = 0;
    for (let i = 0; i < 16; i++) {
      const level = clamp(nearest(fround(inverse * values[from + i]!)), -32, 31);
      byLevel += cubes[i]! * level;
      levels += squares[i]! * level * level;
    }
    if (levels > 0 && (attempt === 0 || byLevel * byLevel > best * levels)) {
      scale = byLevel / levels;
      best = scale * byLevel;
    }
  }
  return fround(scale);
}

const scales6 = new Float32Array(16);
const words6 = new Uint32Array(scales6.buffer);

export const encodeQ6_K: BlockEncoder = (values, words, from, bytes, at) => {
  bytes.fill(0, at, at + 210);
  for (let j = 0; j < 16; j++) scales6[j] = symmetricScale(values, words, from + 16 * j);
  const most = largest(scales6, words6, 0, 16);
  if (abs(most) < tiny) return;
  const inverse = fround(-128 / most);
  putHalf(bytes, at + 208, 1 / inverse);
  const d = f16BitsToNumber(numberToF16Bits(1 / inverse));
  for (let j = 0; j < 16; j++) {
    const scale = min(127, nearest(fround(inverse * scales6[j]!)));
    bytes[at + 192 + j] = scale & 255;
    const step = fround(d * scale);
    for (let i = 16 * j; i < 16 * j + 16; i++) {
      const q = step === 0 ? 0 : clamp(nearest(fround(values[from + i]! / step)), -32, 31) + 32;
      bytes[at + ((i >> 7) << 6) + (i & 63)]! |= (q & 15) << (4 * ((i >> 6) & 1));
      bytes[at + 128 + ((i >> 7) << 5) + (i & 31)]! |= (q >> 4) << (2 * ((i >> 5) & 3));
    }
  }
};

const weights = new Float32Array(32);
const levels = new Float64Array(32);
/** Scales and (negated) minima of the eight parts of a block. */
const scales4 = new Float64Array(8);
const minima4 = new Float64Array(8);

/** Levels 0 to 15 of 32 values from a minimum on. */
function setLevels(values: Float32Array, from: number, inverse: number, minimum: number): void {
  for (let i = 0; i < 32; i++) levels[i] = clamp(nearest(fround(inverse * (values[from + i]! - minimum))), 0, 15);
}

/** The weighted error of 32 values at their levels. */
function errorOf(values: Float32Array, from: number, scale: number, minimum: number): number {
  let sum = 0;
  for (let i = 0; i < 32; i++) {
    const error = scale * levels[i]! + minimum - values[from + i]!;
    sum += weights[i]! * (error * error);
  }
  return sum;
}

/**
 * Scale and (negated) minimum, of part `j`, with which levels 0 to 15 come nearest to 32 values, by least squares over many
 * scales.
 */
function findScaleWithMinimum(values: Float32Array, from: number, j: number): void {
  let squared = 0;
  let low = 0;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = from; i < from + 32; i++) {
    const x = values[i]!;
    squared += x * x;
    low = min(low, x);
    high = max(high, x);
  }
  scales4[j] = 0;
  minima4[j] = -low;
  if (high === low) return;
  const mean = sqrt(squared / 32);
  let sum = 0;
  let sumX = 0;
  for (let i = 0; i < 32; i++) {
    const x = values[from + i]!;
    const weight = fround(mean + abs(x));
    weights[i] = weight;
    sum += weight;
    sumX += weight * x;
  }
  let bestScale = (high - low) / 15;
  let bestMinimum = low;
  setLevels(values, from, 15 / (high - low), low);
  let least = errorOf(values, from, bestScale, bestMinimum);
  for (let attempt = 0; attempt <= 20; attempt++) {
    setLevels(values, from, (14 + 0.1 * attempt) / (high - bestMinimum), bestMinimum);
    let sumL = 0;
    let sumLL = 0;
    let sumXL = 0;
    for (let i = 0; i < 32; i++) {
      const level = levels[i]!;
      const weighted = weights[i]! * level;
      sumL += weighted;
      sumLL += weighted * level;
      sumXL += weighted * values[from + i]!;
    }
    const determinant = sum * sumLL - sumL * sumL;
    if (determinant <= 0) continue;
    let scale = (sum * sumXL - sumX * sumL) / determinant;
    let minimum = (sumLL * sumX - sumL * sumXL) / determinant;
    if (minimum > 0) {
      minimum = 0;
      scale = sumXL / sumLL;
    }
    const found = errorOf(values, from, scale, minimum);
    if (found < least) {
      least = found;
      bestScale = scale;
      bestMinimum = minimum;
    }
  }
  scales4[j] = bestScale;
  minima4[j] = -bestMinimum;
}

/** A scale or minimum in six bits, of the largest of its kind. */
function sixBits(value: number, most: number): number {
  return most > 0 ? clamp(nearest((63 * value) / most), 0, 63) : 0;
}

export const encodeQ4_K: BlockEncoder = (values, _words, from, bytes, at) => {
  bytes.fill(0, at, at + 144);
  for (let j = 0; j < 8; j++) findScaleWithMinimum(values, from + 32 * j, j);
  const [mostScale, mostMinimum] = [max(...scales4), max(...minima4)];
  const packed = at + 4;
  for (let j = 0; j < 8; j++) {
    const [s, m] = [sixBits(scales4[j]!, mostScale), sixBits(minima4[j]!, mostMinimum)];
    if (j < 4) {
      bytes[packed + j]! |= s;
      bytes[packed + j + 4]! |= m;
    } else {
      bytes[packed + j + 4] = (s & 15) | ((m & 15) << 4);
      bytes[packed + j - 4]! |= (s >> 4) << 6;
      bytes[packed + j]! |= (m >> 4) << 6;
    }
  }
  putHalf(bytes, at, mostScale / 63);
  putHalf(bytes, at + 2, mostMinimum / 63);
  const d = f16BitsToNumber(numberToF16Bits(mostScale / 63));
  const dmin = f16BitsToNumber(numberToF16Bits(mostMinimum / 63));
  for (let j = 0; j < 8; j++) {
    const [s, m] = scaleAndMinimum(bytes, at + 4, j);
    const [step, minimum] = [fround(d * s), fround(dmin * m)];
    if (step === 0) continue;
    const [to, shift] = [at + 16 + ((j >> 1) << 5), (j & 1) << 2];
    for (let i = 0; i < 32; i++) {
      const level = clamp(nearest(fround((values[from + 32 * j + i]! + minimum) / step)), 0, 15);
      bytes[to + i]! |= level << shift;
    }
  }
};
