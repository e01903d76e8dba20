import type { DType } from '../../../dtype.ts';
import type { KernelNames } from '../../../graph/webgpu-lowering.ts';

/**
 * How kernels of few rows take stored weights out of a buffer of `vec4<u32>`: an invocation takes one piece of each of
 * its columns at once, a vector of words or two, and multiplies it with the fours of `x` that belong to it.
 */
export interface WeightCodec {
  /** Values of a piece: rows are whole numbers of them. */
  readonly values: number;
  /** Where in the fours of a row piece `p` begins, and how far slot 4 and those after it lie beyond slot 0. */
  readonly first: string;
  readonly stride: number;
  /** WGSL functions that the rest calls. */
  functions(names: KernelNames): string;
  /** Whether they compute in f16. */
  readonly half: boolean;
  /** Statements that load piece `p` of column `c`, whose values begin at `row` in the array `b`. */
  load(c: number, row: string, b: string, names: KernelNames): readonly string[];
  /** Slots that share a scale: a value is `scale * raw + shift`; without a scale it is raw. */
  readonly groups: readonly {
    readonly slots: readonly number[];
    readonly scale?: (c: number) => string;
    readonly shift?: (c: number) => string;
  }[];
  /** The raw values of a slot of column `c`, a `vec4<f32>`. */
  raw(c: number, slot: number, names: KernelNames): string;
}

/** The codec of a dtype; undefined where weights are not read by pieces. `half`: whether the adapter has shader-f16. */
export function codecOf(dtype: DType, half: boolean): WeightCodec | undefined {
  switch (dtype) {
    case 'f16':
      return halves(() => 'unpack2x16float');
    case 'bf16':
      return halves(({ prelude }) => prelude.unpack2xbf16);
    case 'q4_0':
      return q4_0(half);
    case 'q8_0':
      return q8_0(half);
    case 'mxfp4':
      return mxfp4(half);
    case 'q4_k':
      return q4_k(half);
    case 'q5_k':
      return q5_k(half);
    case 'q6_k':
      return q6_k(half);
    default:
      return undefined;
  }
}

const lanes = ['x', 'y', 'z', 'w'];
const fours = [0, 1, 2, 3];

function halves(unpack: (names: KernelNames) => string): WeightCodec {
  const two = (c: number, pair: number, names: KernelNames) => `${unpack(names)}(w${c}.${lanes[pair]})`;
  return {
    values: 8,
    first: '2u * p',
    stride: 4,
    functions: () => '',
    half: false,
    load: (c, row, b) => [`let w${c} = ${b}[${row} / 8u + p];`],
    groups: [{ slots: [0, 1] }],
    raw: (c, slot, names) => `vec4<f32>(${two(c, 2 * slot, names)}, ${two(c, 2 * slot + 1, names)})`,
  };
}

/**
 * The four low nibbles, or bytes, of a word as floats, made by putting their bits into the fraction of a float, which takes
 * half as long as converting integers. With f16 two at once, less `zero`; without, as 1 + n / 16 or 1 + n / 256.
 */
function fractions(half: boolean, bits: 4 | 8, zero: number, { own }: KernelNames): string {
  const name = bits === 4 ? own.nibbles : own.octets;
  if (half) {
    const mask = bits === 4 ? '0x000f000fu' : '0x00ff00ffu';
    const two = (q: string) =>
      `vec2<f32>(bitcast<vec2<f16>>((${q} & ${mask}) | 0x64006400u) - vec2<f16>(${1024 + zero}.0h))`;
    return `fn ${name}(q: u32) -> vec4<f32> {
  let even = ${two('q')};
  let odd = ${two('(q >> 8u)')};
  return vec4<f32>(even.x, odd.x, even.y, odd.y);
}`;
  }
  const [shifts, mask] =
    bits === 4
      ? ['q << 19u, q << 11u, q << 3u, q >> 5u', '0x00780000u']
      : ['q << 15u, q << 7u, q >> 1u, q >> 9u', '0x007f8000u'];
  return `fn ${name}(q: u32) -> vec4<f32> {
  return bitcast<vec4<f32>>((vec4<u32>(${shifts}) & vec4<u32>(${mask})) | vec4<u32>(0x3f800000u));
}`;
}

/** Scale `s` and `shift` of raw values that stand for `n - zero`, where a float is `1 + n / levels` without f16. */
function factors(half: boolean, levels: 16 | 256, zero: number) {
  return half
    ? (s: (c: number) => string) => ({ scale: s })
    : (s: (c: number) => string) => ({
        scale: (c: number) => `${levels}.0 * ${s(c)}`,
        shift: (c: number) => `-${levels + zero}.0 * ${s(c)}`,
      });
}

/** The scale of a block of a group of eight, whose scales lie at `at`. */
const scaleOf = (c: number, at: string, b: string) =>
  `let d${c} = unpack2x16float(${b}[${at}][(block${c} & 7u) >> 1u])[block${c} & 1u];`;

function q4_0(half: boolean): WeightCodec {
  return {
    values: 32,
    first: '8u * p',
    stride: 4,
    functions: (names) => fractions(half, 4, 8, names),
    half,
    load: (c, row, b) => [
      `let block${c} = ${row} / 32u + p;`,
      `let group${c} = (block${c} >> 3u) * 9u;`,
      `let w${c} = ${b}[group${c} + (block${c} & 7u)];`,
      scaleOf(c, `group${c} + 8u`, b),
    ],
    groups: [{ slots: [...fours, 4, 5, 6, 7], ...factors(half, 16, 8)((c) => `d${c}`) }],
    raw: (c, slot, { own }) =>
      slot < 4 ? `${own.nibbles}(w${c}.${lanes[slot]})` : `${own.nibbles}(w${c}.${lanes[slot - 4]} >> 4u)`,
  };
}

function q8_0(half: boolean): WeightCodec {
  return {
    values: 16,
    first: '4u * p',
    stride: 4,
    functions: (names) => fractions(half, 8, 128, names),
    half,
    load: (c, row, b) => [
      `let block${c} = ${row} / 32u + (p >> 1u);`,
      `let group${c} = (block${c} >> 3u) * 17u;`,
      `let w${c} = ${b}[group${c} + (block${c} & 7u) * 2u + (p & 1u)] ^ vec4<u32>(0x80808080u);`,
      scaleOf(c, `group${c} + 16u`, b),
    ],
    groups: [{ slots: fours, ...factors(half, 256, 128)((c) => `d${c}`) }],
    raw: (c, slot, { own }) => `${own.octets}(w${c}.${lanes[slot]})`,
  };
}

function mxfp4(half: boolean): WeightCodec {
  return {
    values: 32,
    first: '8u * p',
    stride: 4,
    functions: (names) => fractions(half, 8, 16, names),
    half,
    load: (c, row, b, { prelude }) => [
      `let block${c} = ${row} / 32u + p;`,
      `let group${c} = (block${c} >> 4u) * 17u;`,
      `let w${c} = ${b}[group${c} + (block${c} & 15u)];`,
      `let d${c} = ${prelude.e8m0_half}((${b}[group${c} + 16u][(block${c} & 15u) >> 2u] >> (8u * (block${c} & 3u))) & 255u);`,
    ],
    groups: [{ slots: [...fours, 4, 5, 6, 7], ...factors(half, 256, 16)((c) => `d${c}`) }],
    raw: (c, slot, { own, prelude }) =>
      slot < 4
        ? `${own.octets}(${prelude.fp4_levels}(w${c}.${lanes[slot]}))`
        : `${own.octets}(${prelude.fp4_levels}(w${c}.${lanes[slot - 4]} >> 4u))`,
  };
}

/** Scales and minima of two neighbouring smaller blocks of q4_k or q5_k. */
export const twoFactors = ({
  own,
}: KernelNames): string => `fn ${own.two_factors}(h: vec4<u32>, pair: u32) -> vec4<f32> {
  let s = h.yzw >> vec3<u32>(16u * (pair & 1u));
  let upper = vec2<u32>(s.z & 0x0f0fu, (s.z >> 4u) & 0x0f0fu) | ((s.xy >> vec2<u32>(2u)) & vec2<u32>(0x3030u));
  let six = select(s.xy & vec2<u32>(0x3f3fu), upper, pair >= 2u);
  let d = unpack2x16float(h.x);
  return d.xyxy * vec4<f32>(vec4<u32>(six & vec2<u32>(0xffu), six >> vec2<u32>(8u)));
}`;

function q4_k(half: boolean): WeightCodec {
  const group = (slots: readonly number[], scale: string, minimum: string) => ({
    slots,
    scale: (c: number) => (half ? `f${c}.${scale}` : `16.0 * f${c}.${scale}`),
    shift: (c: number) => (half ? `-f${c}.${minimum}` : `-16.0 * f${c}.${scale} - f${c}.${minimum}`),
  });
  return {
    values: 32,
    first: '(p >> 3u) * 64u + ((p & 7u) >> 1u) * 16u + 4u * (p & 1u)',
    stride: 8,
    functions: (names) => `${fractions(half, 4, 0, names)}\n${twoFactors(names)}`,
    half,
    load: (c, row, b, { own }) => [
      `let block${c} = (${row} / 256u + (p >> 3u)) * 9u;`,
      `let w${c} = ${b}[block${c} + 1u + (p & 7u)];`,
      `let f${c} = ${own.two_factors}(${b}[block${c}], (p & 7u) >> 1u);`,
    ],
    groups: [group(fours, 'x', 'y'), group([4, 5, 6, 7], 'z', 'w')],
    raw: (c, slot, { own }) =>
      slot < 4 ? `${own.nibbles}(w${c}.${lanes[slot]})` : `${own.nibbles}(w${c}.${lanes[slot - 4]} >> 4u)`,
  };
}

function q5_k(half: boolean): WeightCodec {
  const group = (slots: readonly number[], scale: string, minimum: string) => ({
    slots,
    scale: (c: number) => (half ? `f${c}.${scale}` : `256.0 * f${c}.${scale}`),
    shift: (c: number) => (half ? `-f${c}.${minimum}` : `-256.0 * f${c}.${scale} - f${c}.${minimum}`),
  });
  return {
    values: 32,
    first: '(p >> 3u) * 64u + ((p & 7u) >> 1u) * 16u + 4u * (p & 1u)',
    stride: 8,
    functions: (names) => `${fractions(half, 8, 0, names)}\n${twoFactors(names)}`,
    half,
    load: (c, row, b, { own }) => [
      `let block${c} = (${row} / 256u + (p >> 3u)) * 11u;`,
      `let w${c} = ${b}[block${c} + 3u + (p & 7u)];`,
      `let h${c} = ${b}[block${c} + 1u + (p & 1u)] >> vec4<u32>(p & 6u);`,
      `let f${c} = ${own.two_factors}(${b}[block${c}], (p & 7u) >> 1u);`,
    ],
    groups: [group(fours, 'x', 'y'), group([4, 5, 6, 7], 'z', 'w')],
    raw(c, slot, { own }) {
      const lane = lanes[slot & 3];
      return slot < 4
        ? `${own.octets}((w${c}.${lane} & 0x0f0f0f0fu) | ((h${c}.${lane} & 0x01010101u) << 4u))`
        : `${own.octets}(((w${c}.${lane} >> 4u) & 0x0f0f0f0fu) | ((h${c}.${lane} & 0x02020202u) << 3u))`;
    },
  };
}

/** A byte of a word as a signed number. */
export const signedByte = ({ own }: KernelNames): string =>
  `fn ${own.signed_byte}(word: u32, byte: u32) -> f32 { return f32(i32(word << (24u - 8u * byte)) >> 24u); }`;

function q6_k(half: boolean): WeightCodec {
  const of = factors(half, 256, 32);
  return {
    values: 32,
    first: '(p >> 3u) * 64u + ((p & 7u) >> 2u) * 32u + 4u * (p & 3u)',
    stride: 16,
    functions: (names) => `${fractions(half, 8, 32, names)}\n${signedByte(names)}`,
    half,
    load: (c, row, b, { own }) => [
      `let block${c} = ${row} / 256u + (p >> 3u);`,
      `let group${c} = (block${c} >> 3u) * 105u;`,
      `let at${c} = group${c} + (block${c} & 7u) * 13u;`,
      `let w${c} = ${b}[at${c} + (p & 7u)];`,
      `let h${c} = ${b}[at${c} + 8u + ((p & 4u) >> 1u) + (p & 1u)] >> vec4<u32>(p & 2u);`,
      `let scales${c} = ${b}[at${c} + 12u];`,
      scaleOf(c, `group${c} + 104u`, b),
      `let low${c} = d${c} * ${own.signed_byte}(select(scales${c}.x, scales${c}.z, (p & 4u) != 0u), p & 3u);`,
      `let high${c} = d${c} * ${own.signed_byte}(select(scales${c}.y, scales${c}.w, (p & 4u) != 0u), p & 3u);`,
    ],
    groups: [
      { slots: fours, ...of((c) => `low${c}`) },
      { slots: [4, 5, 6, 7], ...of((c) => `high${c}`) },
    ],
    raw(c, slot, { own }) {
      const lane = lanes[slot & 3];
      return slot < 4
        ? `${own.octets}((w${c}.${lane} & 0x0f0f0f0fu) | ((h${c}.${lane} & 0x03030303u) << 4u))`
        : `${own.octets}(((w${c}.${lane} >> 4u) & 0x0f0f0f0fu) | (h${c}.${lane} & 0x30303030u))`;
    },
  };
}
