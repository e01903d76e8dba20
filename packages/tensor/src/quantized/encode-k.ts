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

/** Where scales are looked for: the highest level, and what the range is divided into in the first attempt, a tenth more in each. */
interface LevelSearch {
  readonly highest: number;
  readonly first: number;
  readonly attempts: number;
}

const weights = new Float32Array(32);
const levels = new Float64Array(32);
/** Scales and (negated) minima of the eight parts of a block. */
const scales4 = new Float64Array(8);
const minima4 = new Float64Array(8);

/** Levels from 0 on of 32 values from a minimum on. */
function setLevels(values: Float32Array, from: number, inverse: number, minimum: number, highest: number): void {
  for (let i = 0; i < 32; i++) levels[i] = clamp(nearest(fround(inverse * (values[from + i]! - minimum))), 0, highest);
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
 * Scale and (negated) minimum, of part `j`, with which levels from 0 on come nearest to 32 values, by least squares over many
 * scales.
 */
function findScaleWithMinimum(values: Float32Array, from: number, j: number, search: LevelSearch): void {
  const { highest, first, attempts } = search;
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
  let bestScale = (high - low) / highest;
  let bestMinimum = low;
  setLevels(values, from, highest / (high - low), low, highest);
  let least = errorOf(values, from, bestScale, bestMinimum);
  for (let attempt = 0; attempt <= attempts; attempt++) {
    setLevels(values, from, (first + 0.1 * attempt) / (high - bestMinimum), bestMinimum, highest);
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

/** Scales and minima of a block of q4_k or q5_k into its first sixteen bytes. */
function putScalesWithMinima(
  values: Float32Array,
  from: number,
  bytes: Uint8Array,
  at: number,
  search: LevelSearch,
): void {
  for (let j = 0; j < 8; j++) findScaleWithMinimum(values, from + 32 * j, j, search);
  const [maxScale, maxMinimum] = [max(...scales4), max(...minima4)];
  const packed = at + 4;
  for (let j = 0; j < 8; j++) {
    const [s, m] = [sixBits(scales4[j]!, maxScale), sixBits(minima4[j]!, maxMinimum)];
    if (j < 4) {
      bytes[packed + j]! |= s;
      bytes[packed + j + 4]! |= m;
    } else {
      bytes[packed + j + 4] = (s & 15) | ((m & 15) << 4);
      bytes[packed + j - 4]! |= (s >> 4) << 6;
      bytes[packed + j]! |= (m >> 4) << 6;
    }
  }
  putHalf(bytes, at, maxScale / 63);
  putHalf(bytes, at + 2, maxMinimum / 63);
}

/** Blocks of eight parts with a scale and a minimum each; `put` takes the level of value `i` of part `j`. */
function encodeWithMinima(
  size: number,
  search: LevelSearch,
  put: (bytes: Uint8Array, at: number, j: number, i: number, level: number) => void,
): BlockEncoder {
  return (values, _words, from, bytes, at) => {
    bytes.fill(0, at, at + size);
    putScalesWithMinima(values, from, bytes, at, search);
    const d = f16BitsToNumber(bytes[at]! | (bytes[at + 1]! << 8));
    const dmin = f16BitsToNumber(bytes[at + 2]! | (bytes[at + 3]! << 8));
    for (let j = 0; j < 8; j++) {
      const [s, m] = scaleAndMinimum(bytes, at + 4, j);
      const [step, minimum] = [fround(d * s), fround(dmin * m)];
      if (step === 0) continue;
      for (let i = 0; i < 32; i++) {
        const level = clamp(nearest(fround((values[from + 32 * j + i]! + minimum) / step)), 0, search.highest);
        put(bytes, at, j, i, level);
      }
    }
  };
}

export const encodeQ4_K: BlockEncoder = encodeWithMinima(
  144,
  { highest: 15, first: 14, attempts: 20 },
  (bytes, at, j, i, level) => {
    bytes[at + 16 + ((j >> 1) << 5) + i]! |= level << ((j & 1) << 2);
  },
);

export const encodeQ5_K: BlockEncoder = encodeWithMinima(
  176,
  { highest: 31, first: 30.5, attempts: 15 },
  (bytes, at, j, i, level) => {
    bytes[at + 48 + ((j >> 1) << 5) + i]! |= (level & 15) << ((j & 1) << 2);
    bytes[at + 16 + i]! |= (level >> 4) << j;
  },
);
