import { f16BitsToNumber, numberToF16Bits } from '../float16.ts';
import { scaleAndMinimum } from './decode-k.ts';
import { type BlockEncoder, largest, putHalf } from './encode-simple.ts';

/* Quantisers of blocks of 256 values, which look for the scales with the least weighted error, as ggml does. */

const { fround, abs, sqrt, max, min } = Math;

/** Beyond this, binary64 has no fractions, and what is added to it is rounded. */
const whole = 1.5 * 2 ** 52;
/** The nearest whole number; from the middle to the even one. Less than 2^51. */
const nearest = (x: number): number => x + whole - whole;
const clamp = (x: number, low: number, high: number): number => (x < low ? low : x > high ? high : x);
/** Below this a block counts as zeros. */
const tiny = 1e-15;

/** The scale with which levels -32 to 31 come nearest to 16 values, larger values weighing more. */
function symmetricScale(values: Float32Array, from: number): number {
  const most = largest(values, from, 16);
  if (abs(most) < tiny) return 0;
  let scale = 0;
  let best = 0;
  for (let attempt = 0; attempt < 19; attempt++) {
    // the plain one first, then others around it
    const shift = attempt === 0 ? 0 : attempt <= 9 ? attempt - 10 : attempt - 9;
    const inverse = fround(-(32 + fround(0.1 * shift)) / most);
    let [byLevel, levels] = [0, 0];
    for (let i = 0; i < 16; i++) {
      const x = values[from + i]!;
      const level = clamp(nearest(fround(inverse * x)), -32, 31);
      byLevel += x * x * x * level;
      levels += x * x * level * level;
    }
    if (levels > 0 && (attempt === 0 || byLevel * byLevel > best * levels)) {
      scale = byLevel / levels;
      best = scale * byLevel;
    }
  }
  return fround(scale);
}

export const encodeQ6_K: BlockEncoder = (values, from, bytes, at) => {
  bytes.fill(0, at, at + 210);
  const scales = Float32Array.from({ length: 16 }, (_, j) => symmetricScale(values, from + 16 * j));
  const most = largest(scales, 0, 16);
  if (abs(most) < tiny) return;
  const inverse = fround(-128 / most);
  putHalf(bytes, at + 208, 1 / inverse);
  const d = f16BitsToNumber(numberToF16Bits(1 / inverse));
  for (let j = 0; j < 16; j++) {
    const scale = min(127, nearest(fround(inverse * scales[j]!)));
    bytes[at + 192 + j] = scale & 255;
    const step = fround(d * scale);
    for (let i = 16 * j; i < 16 * j + 16; i++) {
      const q = step === 0 ? 0 : clamp(nearest(fround(values[from + i]! / step)), -32, 31) + 32;
      bytes[at + ((i >> 7) << 6) + (i & 63)]! |= (q & 15) << (4 * ((i >> 6) & 1));
      bytes[at + 128 + ((i >> 7) << 5) + (i & 31)]! |= (q >> 4) << (2 * ((i >> 5) & 3));
    }
  }
};

/** Of 32 values, reused. */
const [weights, levels] = [new Float32Array(32), new Float64Array(32)];

/** Gives 32 values the levels of a scale. */
function findLevels(values: Float32Array, from: number, inverse: number, minimum: number): void {
  for (let i = 0; i < 32; i++) levels[i] = clamp(nearest(fround(inverse * (values[from + i]! - minimum))), 0, 15);
}

/** Weighted error of the values' levels. */
function errorOf(values: Float32Array, from: number, scale: number, minimum: number): number {
  let sum = 0;
  for (let i = 0; i < 32; i++) {
    const error = scale * levels[i]! + minimum - values[from + i]!;
    sum += weights[i]! * (error * error);
  }
  return sum;
}

/** Scale and (negated) minimum with which levels 0 to 15 come nearest to 32 values, by least squares over many scales. */
function scaleWithMinimum(values: Float32Array, from: number): { scale: number; minimum: number } {
  let [low, high, squares] = [0, values[from]!, 0];
  for (let i = from; i < from + 32; i++) {
    const x = values[i]!;
    squares += x * x;
    if (x < low) low = x;
    if (x > high) high = x;
  }
  if (high === low) return { scale: 0, minimum: 0 - low };
  const mean = sqrt(squares / 32);
  for (let i = 0; i < 32; i++) weights[i] = mean + abs(values[from + i]!);
  let [bestScale, bestMinimum] = [(high - low) / 15, low];
  findLevels(values, from, 15 / (high - low), low);
  let least = errorOf(values, from, bestScale, bestMinimum);
  for (let attempt = 0; attempt <= 20; attempt++) {
    findLevels(values, from, (14 + 0.1 * attempt) / (high - bestMinimum), bestMinimum);
    let [sum, sumX, sumL, sumLL, sumXL] = [0, 0, 0, 0, 0];
    for (let i = 0; i < 32; i++) {
      const [value, w, l] = [values[from + i]!, weights[i]!, levels[i]!];
      sum += w;
      sumX += w * value;
      sumL += w * l;
      sumLL += w * l * l;
      sumXL += w * l * value;
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
      [bestScale, bestMinimum] = [scale, minimum];
    }
  }
  return { scale: bestScale, minimum: 0 - bestMinimum };
}

export const encodeQ4_K: BlockEncoder = (values, from, bytes, at) => {
  bytes.fill(0, at, at + 144);
  const parts = Array.from({ length: 8 }, (_, j) => scaleWithMinimum(values, from + 32 * j));
  const [mostScale, mostMinimum] = [max(...parts.map((p) => p.scale)), max(...parts.map((p) => p.minimum))];
  const sixBits = (value: number, most: number) => (most > 0 ? clamp(nearest((63 * value) / most), 0, 63) : 0);
  parts.forEach(({ scale, minimum }, j) => {
    const [s, m] = [sixBits(scale, mostScale), sixBits(minimum, mostMinimum)];
    const packed = at + 4;
    if (j < 4) {
      bytes[packed + j]! |= s;
      bytes[packed + j + 4]! |= m;
    } else {
      bytes[packed + j + 4] = (s & 15) | ((m & 15) << 4);
      bytes[packed + j - 4]! |= (s >> 4) << 6;
      bytes[packed + j]! |= (m >> 4) << 6;
    }
  });
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
