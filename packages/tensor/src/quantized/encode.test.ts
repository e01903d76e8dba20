import { expect, test } from 'vitest';
import type { BlockFormat } from '../dtype.ts';
import { bf16ToF32, f16BitsToNumber, f16ToF32, f32ToBf16, f32ToF16, numberToF16Bits } from '../float16.ts';
import { blockTypes } from './block-type.ts';
import { typeOfFormat } from './decode.ts';
import { scaleAndMinimum } from './decode-k.ts';
import { quantize } from './quantize.ts';

/* Blocks as plain definitions of the formats give them, every bit: these are slow, and say what the encoders must do. */

type BlockEncoder = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => void;
/** Whether the block at `at` is that of the values from `from` on. */
type BlockCheck = (values: Float32Array, from: number, bytes: Uint8Array, at: number) => boolean;

const encodedBy =
  (encode: BlockEncoder, size: number): BlockCheck =>
  (values, from, bytes, at) => {
    const block = new Uint8Array(size);
    encode(values, from, block, 0);
    return block.every((byte, i) => byte === bytes[at + i]);
  };

const halfAt = (bytes: Uint8Array, at: number): number => bytes[at]! | (bytes[at + 1]! << 8);

const { fround, abs, sqrt, max, min } = Math;

function putHalf(bytes: Uint8Array, at: number, value: number): void {
  const bits = numberToF16Bits(value);
  bytes[at] = bits & 255;
  bytes[at + 1] = bits >> 8;
}

/** The nearest whole number; from the middle away from zero. */
const roundAway = (x: number): number => (x < 0 ? -Math.floor(0.5 - x) : Math.floor(x + 0.5));

/** The value that is largest without its sign, with its sign; the first of several. */
function largest(values: Float32Array, from: number, count: number): number {
  let found = 0;
  for (let i = from; i < from + count; i++) if (abs(values[i]!) > abs(found)) found = values[i]!;
  return found;
}

/** One scale for 32 values of eight bits: the largest becomes 127. */
const encodeQ8_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(abs(largest(values, from, 32)) / 127);
  const inverse = d === 0 ? 0 : fround(1 / d);
  putHalf(bytes, at, d);
  for (let i = 0; i < 32; i++) bytes[at + 2 + i] = roundAway(fround(values[from + i]! * inverse)) & 255;
};

/** One scale for 32 values of four bits: the largest becomes -8. */
const encodeQ4_0: BlockEncoder = (values, from, bytes, at) => {
  const d = fround(largest(values, from, 32) / -8);
  const inverse = d === 0 ? 0 : fround(1 / d);
  const level = (i: number) => Math.min(15, Math.trunc(fround(fround(values[from + i]! * inverse) + 8.5)));
  putHalf(bytes, at, d);
  for (let i = 0; i < 16; i++) bytes[at + 2 + i] = level(i) | (level(i + 16) << 4);
};

/** The nearest whole number; from the middle to the even one. */
function nearest(x: number): number {
  const low = Math.floor(x);
  const rest = x - low;
  return rest > 0.5 || (rest === 0.5 && low % 2 !== 0) ? low + 1 : low;
}
const clamp = (x: number, low: number, high: number): number => max(low, min(high, x));
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

/** Checks a block of q6_k by what lies in it. */
const checkQ6_K: BlockCheck = (values, from, bytes, at) => {
  const scales = Float32Array.from({ length: 16 }, (_, j) => symmetricScale(values, from + 16 * j));
  const most = largest(scales, 0, 16);
  if (abs(most) < tiny) return bytes.subarray(at, at + 210).every((byte) => byte === 0);
  const inverse = fround(-128 / most);
  const d = halfAt(bytes, at + 208);
  if (d !== numberToF16Bits(1 / inverse)) return false;
  return Array.from({ length: 256 }, (_, i) => i).every((i) => {
    const scale = min(127, nearest(fround(inverse * scales[i >> 4]!)));
    const step = fround(f16BitsToNumber(d) * scale);
    const level = step === 0 ? 0 : clamp(nearest(fround(values[from + i]! / step)), -32, 31) + 32;
    // 128 values at a time: low nibbles of 64 bytes, then high ones; two bits more of each from 32 bytes
    const [half, place] = [i >> 7, i & 127];
    const low = (bytes[at + 64 * half + (place % 64)]! >> (place < 64 ? 0 : 4)) & 15;
    const high = (bytes[at + 128 + 32 * half + (place % 32)]! >> (2 * (place >> 5))) & 3;
    return (bytes[at + 192 + (i >> 4)]! << 24) >> 24 === scale && (low | (high << 4)) === level;
  });
};

/** What levels reach, and what the range is divided into in the first of the attempts. */
interface Search {
  readonly highest: number;
  readonly first: number;
  readonly attempts: number;
}

/** Scale and (negated) minimum with which levels from 0 on come nearest to 32 values, by least squares over many scales. */
function scaleWithMinimum(
  values: Float32Array,
  from: number,
  { highest, first, attempts }: Search,
): { scale: number; minimum: number } {
  const x = values.subarray(from, from + 32);
  const mean = sqrt(x.reduce((sum, value) => sum + value * value, 0) / 32);
  const weights = x.map((value) => mean + abs(value));
  const low = min(
    0,
    x.reduce((a, b) => min(a, b)),
  );
  const high = x.reduce((a, b) => max(a, b));
  if (high === low) return { scale: 0, minimum: -low };
  const error = (scale: number, minimum: number, level: (value: number) => number) =>
    x.reduce((sum, value, i) => sum + weights[i]! * (scale * level(value) + minimum - value) ** 2, 0);
  const levelOf = (inverse: number, minimum: number) => (value: number) =>
    clamp(nearest(fround(inverse * (value - minimum))), 0, highest);
  let best = { scale: (high - low) / highest, minimum: low };
  let least = error(best.scale, best.minimum, levelOf(highest / (high - low), low));
  for (let attempt = 0; attempt <= attempts; attempt++) {
    const level = levelOf((first + 0.1 * attempt) / (high - best.minimum), best.minimum);
    let [sum, sumX, sumL, sumLL, sumXL] = [0, 0, 0, 0, 0];
    x.forEach((value, i) => {
      const [w, l] = [weights[i]!, level(value)];
      sum += w;
      sumX += w * value;
      sumL += w * l;
      sumLL += w * l * l;
      sumXL += w * l * value;
    });
    const determinant = sum * sumLL - sumL * sumL;
    if (determinant <= 0) continue;
    let scale = (sum * sumXL - sumX * sumL) / determinant;
    let minimum = (sumLL * sumX - sumL * sumXL) / determinant;
    if (minimum > 0) {
      minimum = 0;
      scale = sumXL / sumLL;
    }
    const found = error(scale, minimum, level);
    if (found < least) {
      least = found;
      best = { scale, minimum };
    }
  }
  return { scale: best.scale, minimum: -best.minimum };
}

/** Checks a block with minima by what lies in it; `levelAt` reads the level of value i of part j. */
const checkWithMinima =
  (search: Search, levelAt: (bytes: Uint8Array, at: number, j: number, i: number) => number): BlockCheck =>
  (values, from, bytes, at) => {
    const parts = Array.from({ length: 8 }, (_, j) => scaleWithMinimum(values, from + 32 * j, search));
    const [maxScale, maxMinimum] = [max(...parts.map((p) => p.scale)), max(...parts.map((p) => p.minimum))];
    const [d, dmin] = [halfAt(bytes, at), halfAt(bytes, at + 2)];
    if (d !== numberToF16Bits(maxScale / 63) || dmin !== numberToF16Bits(maxMinimum / 63)) return false;
    const sixBits = (value: number, most: number) => (most > 0 ? clamp(nearest((63 * value) / most), 0, 63) : 0);
    return parts.every(({ scale, minimum }, j) => {
      const [s, m] = scaleAndMinimum(bytes, at + 4, j);
      if (s !== sixBits(scale, maxScale) || m !== sixBits(minimum, maxMinimum)) return false;
      const [step, offset] = [fround(f16BitsToNumber(d) * s), fround(f16BitsToNumber(dmin) * m)];
      return Array.from(values.subarray(from + 32 * j, from + 32 * j + 32)).every((value, i) => {
        const level = step === 0 ? 0 : clamp(nearest(fround((value + offset) / step)), 0, search.highest);
        return levelAt(bytes, at, j, i) === level;
      });
    });
  };

const checkQ4_K = checkWithMinima(
  { highest: 15, first: 14, attempts: 20 },
  (bytes, at, j, i) => (bytes[at + 16 + 32 * (j >> 1) + i]! >> (4 * (j % 2))) & 15,
);
const checkQ5_K = checkWithMinima(
  { highest: 31, first: 30.5, attempts: 15 },
  (bytes, at, j, i) =>
    ((bytes[at + 48 + 32 * (j >> 1) + i]! >> (4 * (j % 2))) & 15) + 16 * ((bytes[at + 16 + i]! >> j) & 1),
);

/** A power of two for 32 values: the floor of the largest one's, less 2; a value takes the nearest of fifteen, the first of two. */
const encodeMXFP4: BlockEncoder = (values, from, bytes, at) => {
  const most = abs(largest(values, from, 32));
  const scale = most === 0 ? 0 : max(0, Math.floor(Math.log2(most)) - 2 + 127);
  bytes[at] = scale;
  const halves = [0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12];
  const level = (value: number) => {
    const errors = halves.map((half) => abs(half * 2 ** (scale - 128) - value));
    return errors.indexOf(min(...errors));
  };
  for (let i = 0; i < 16; i++) bytes[at + 1 + i] = level(values[from + i]!) | (level(values[from + 16 + i]!) << 4);
};

const plain: Readonly<Record<BlockFormat, BlockCheck>> = {
  q8_0: encodedBy(encodeQ8_0, 34),
  q4_0: encodedBy(encodeQ4_0, 18),
  mxfp4: encodedBy(encodeMXFP4, 17),
  q4_k: checkQ4_K,
  q5_k: checkQ5_K,
  q6_k: checkQ6_K,
};

/** The first value of a block that is not as its format says; undefined where all are. */
function differsAt(values: Float32Array, bytes: Uint8Array, format: BlockFormat): number | undefined {
  const block = blockTypes[typeOfFormat[format]];
  const count = values.length / block.values;
  expect(bytes.length).toBe(count * block.bytes);
  const wrong = Array.from({ length: count }, (_, i) => i).find(
    (i) => !plain[format](values, i * block.values, bytes, i * block.bytes),
  );
  return wrong === undefined ? undefined : wrong * block.values;
}

let state = 11;
function uniform(): number {
  state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
  return (state + 0.5) / 2 ** 32;
}
const normal = () => sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
const oneOf = (...values: number[]) => values[Math.floor(values.length * uniform())]!;

/** Values of one kind each. */
const kinds: Readonly<Record<string, () => number>> = {
  'weights of a model': () => 0.02 * normal(),
  'of many magnitudes': () => normal() * 10 ** (8 * uniform() - 6),
  'above zero': () => abs(normal()) + 1,
  'below zero': () => -abs(normal()) - 1,
  'in the middle between levels': () => oneOf(127, -127, 63.5, -63.5, 2.5, -2.5, 0.5, -0.5),
  'equally large of both signs': () => oneOf(-8, 8, 3.5, -3.5, 0),
  'mostly zero': () => (uniform() < 0.95 ? oneOf(0, -0) : normal()),
  'zeros of both signs': () => oneOf(0, -0),
  'negative zeros': () => -0,
  'all the same': () => -0.75,
  'nearly too small for scales': () => 1e-6 * normal(),
  'too small for scales': () => 1e-15 * normal(),
  'too small for an inverse of scales': () => 1e-43 * normal(),
  'as large as scales can be': () => 200_000 * (2 * uniform() - 1),
};

for (const format of ['q8_0', 'q4_0', 'mxfp4', 'q4_k', 'q5_k', 'q6_k'] as const) {
  test.for(Object.entries(kinds))(`${format} of values %s`, ([, draw]) => {
    const values = Float32Array.from({ length: 8192 + 256 }, draw);
    expect(differsAt(values, quantize(values, format), format)).toBeUndefined();
  });

  test(`${format} of a part of an array, and of the bits of f16 and bf16`, () => {
    const values = Float32Array.from({ length: 8192 + 512 }, () => 0.02 * normal());
    const part = values.subarray(256);
    expect(differsAt(part, quantize(part, format), format)).toBeUndefined();
    const [f16, bf16] = [f32ToF16(values).subarray(256), f32ToBf16(values).subarray(256)];
    expect(differsAt(f16ToF32(f16), quantize(f16, format), format)).toBeUndefined();
    expect(differsAt(bf16ToF32(bf16), quantize(bf16, format, 'bf16'), format)).toBeUndefined();
  });
}
