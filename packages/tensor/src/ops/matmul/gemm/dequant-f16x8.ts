import type { DType } from '../../../dtype.ts';
import type { KernelNames } from '../../../graph/webgpu-lowering.ts';
import { signedByte, twoFactors } from '../gemv/dequant.ts';

/**
 * How kernels that multiply f16 fragments take stored weights out of a buffer `b` of `vec4<u32>`, eight neighbours of a row at
 * once. Loads and conversions are apart: what is loaded ahead is converted when it is used, and nothing waits for it.
 */
export interface F16x8Codec {
  /**
   * WGSL functions of eight `e` of the matrix: `b_raw(e) -> vec4<u32>` and, with `more`, `b_more(e) -> vec4<u32>` load it, and
   * `b_halves(raw, more, e) -> vec4<u32>` are its values as f16. Of words that are all zero the values are zero.
   */
  functions(names: KernelNames): string;
  readonly more: boolean;
}

/** The codec of a dtype; undefined where it has none. */
export function f16x8CodecOf(dtype: DType): F16x8Codec | undefined {
  switch (dtype) {
    case 'q4_0':
      return q4_0;
    case 'q8_0':
      return q8_0;
    case 'mxfp4':
      return mxfp4;
    case 'q4_k':
      return q4_k;
    case 'q5_k':
      return q5_k;
    case 'q6_k':
      return q6_k;
    default:
      return undefined;
  }
}

const wordsOf = (at: string, word: string, { array: { b } }: KernelNames) =>
  `${b}[${at}][${word}], ${b}[${at}][${word} + 1u]`;

/**
 * Levels of four bits or a byte, less `zero`, times their scale. They become f16 by their bits: 1024 + n is `0x6400 | n`. The
 * product is rounded once, as that of f32 values would be.
 */
const scaled = (bits: 4 | 8, zero: number, { own }: KernelNames) => {
  const [first, second] = bits === 4 ? ['0xfu', '0xf00u'] : ['0xffu', '0xff00u'];
  return `fn ${own.two}(levels: u32, scale: vec2<f16>) -> u32 {
  return bitcast<u32>((bitcast<vec2<f16>>(levels | 0x64006400u) - vec2<f16>(${1024 + zero}.0h)) * scale);
}
fn ${own.four}(q: u32, scale: vec2<f16>) -> vec2<u32> {
  let r = q >> 16u;
  return vec2<u32>(${own.two}((q & ${first}) | ((q & ${second}) << 8u), scale), ${own.two}((r & ${first}) | ((r & ${second}) << 8u), scale));
}`;
};

const scaleOfBlock = 'vec2<f16>(bitcast<vec2<f16>>(raw.z)[(e >> 2u) & 1u])';

const q4_0: F16x8Codec = {
  more: false,
  functions: (names) => `${scaled(4, 8, names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let block = (e >> 2u) & 7u;
  let group = (e >> 5u) * 9u;
  return vec4<u32>(${wordsOf('group + block', '2u * (e & 1u)', names)}, ${names.array.b}[group + 8u][block >> 1u], 0u);
}
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let scale = ${scaleOfBlock};
  let q = raw.xy >> vec2<u32>(2u * (e & 2u));
  return vec4<u32>(${names.own.four}(q.x, scale), ${names.own.four}(q.y, scale));
}`,
};

const q8_0: F16x8Codec = {
  more: false,
  functions: (names) => `${scaled(8, 128, names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let block = (e >> 2u) & 7u;
  let group = (e >> 5u) * 17u;
  return vec4<u32>(${wordsOf('group + 2u * block + ((e >> 1u) & 1u)', '2u * (e & 1u)', names)}, ${names.array.b}[group + 16u][block >> 1u], 0u);
}
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let scale = ${scaleOfBlock};
  let q = raw.xy ^ vec2<u32>(0x80808080u);
  return vec4<u32>(${names.own.four}(q.x, scale), ${names.own.four}(q.y, scale));
}`,
};

/** The bytes of a word as floats. */
const bytes = ({
  own,
}: KernelNames) => `fn ${own.bytes_of}(q: u32) -> vec4<f32> { return vec4<f32>((vec4<u32>(q) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(255u)); }
fn ${own.halves_of}(v: vec4<f32>) -> vec2<u32> { return vec2<u32>(pack2x16float(v.xy), pack2x16float(v.zw)); }`;

const q4_k: F16x8Codec = {
  more: true,
  functions: (names) => `${bytes(names)}
${twoFactors(names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let at = (e >> 5u) * 9u + 1u + 2u * ((e >> 3u) & 3u) + ((e >> 1u) & 1u);
  return vec4<u32>(${wordsOf('at', '2u * (e & 1u)', names)}, 0u, 0u);
}
fn ${names.own.b_more}(e: u32) -> vec4<u32> { return ${names.array.b}[(e >> 5u) * 9u]; }
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let both = ${names.own.two_factors}(more, (e >> 3u) & 3u);
  let f = select(both.xy, both.zw, (e & 4u) != 0u);
  let q = (raw.xy >> vec2<u32>(e & 4u)) & vec2<u32>(0x0f0f0f0fu);
  return vec4<u32>(${names.own.halves_of}(${names.own.bytes_of}(q.x) * f.x - f.y), ${names.own.halves_of}(${names.own.bytes_of}(q.y) * f.x - f.y));
}`,
};

const q5_k: F16x8Codec = {
  more: true,
  functions: (names) => `${bytes(names)}
${twoFactors(names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let at = (e >> 5u) * 11u;
  let side = (e >> 1u) & 1u;
  let word = 2u * (e & 1u);
  return vec4<u32>(${wordsOf('at + 3u + 2u * ((e >> 3u) & 3u) + side', 'word', names)}, ${wordsOf('at + 1u + side', 'word', names)});
}
fn ${names.own.b_more}(e: u32) -> vec4<u32> { return ${names.array.b}[(e >> 5u) * 11u]; }
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let both = ${names.own.two_factors}(more, (e >> 3u) & 3u);
  let f = select(both.xy, both.zw, (e & 4u) != 0u);
  let low = (raw.xy >> vec2<u32>(e & 4u)) & vec2<u32>(0x0f0f0f0fu);
  let fifth = (raw.zw >> vec2<u32>((e >> 2u) & 7u)) & vec2<u32>(0x01010101u);
  let q = low | (fifth << vec2<u32>(4u));
  return vec4<u32>(${names.own.halves_of}(${names.own.bytes_of}(q.x) * f.x - f.y), ${names.own.halves_of}(${names.own.bytes_of}(q.y) * f.x - f.y));
}`,
};

const mxfp4: F16x8Codec = {
  more: false,
  functions: (names) => `${bytes(names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let block = (e >> 2u) & 15u;
  let group = (e >> 6u) * 17u;
  return vec4<u32>(${wordsOf('group + block', '2u * (e & 1u)', names)}, ${names.array.b}[group + 16u][block >> 2u], 0u);
}
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let d = ${names.prelude.e8m0_half}((raw.z >> (8u * ((e >> 2u) & 3u))) & 255u);
  let q = raw.xy >> vec2<u32>(2u * (e & 2u));
  return vec4<u32>(${names.own.halves_of}((${names.own.bytes_of}(${names.prelude.fp4_levels}(q.x)) - 16.0) * d), ${names.own.halves_of}((${names.own.bytes_of}(${names.prelude.fp4_levels}(q.y)) - 16.0) * d));
}`,
};

const q6_k: F16x8Codec = {
  more: true,
  functions: (names) => `${bytes(names)}
${signedByte(names)}
fn ${names.own.b_raw}(e: u32) -> vec4<u32> {
  let at = (e >> 8u) * 105u + ((e >> 5u) & 7u) * 13u;
  let side = (e >> 4u) & 1u;
  let word = 2u * (e & 1u);
  return vec4<u32>(${wordsOf('at + 4u * side + ((e >> 1u) & 3u)', 'word', names)}, ${wordsOf('at + 8u + 2u * side + ((e >> 1u) & 1u)', 'word', names)});
}
fn ${names.own.b_more}(e: u32) -> vec4<u32> {
  let group = (e >> 8u) * 105u;
  let block = (e >> 5u) & 7u;
  return vec4<u32>(${names.array.b}[group + 13u * block + 12u][(e >> 3u) & 3u], ${names.array.b}[group + 104u][block >> 1u], 0u, 0u);
}
fn ${names.own.b_halves}(raw: vec4<u32>, more: vec4<u32>, e: u32) -> vec4<u32> {
  let scale = unpack2x16float(more.y)[(e >> 5u) & 1u] * ${names.own.signed_byte}(more.x, (e >> 1u) & 3u);
  let low = (raw.xy >> vec2<u32>((e >> 1u) & 4u)) & vec2<u32>(0x0f0f0f0fu);
  let high = (raw.zw >> vec2<u32>((e >> 1u) & 6u)) & vec2<u32>(0x03030303u);
  let q = low | (high << vec2<u32>(4u));
  return vec4<u32>(${names.own.halves_of}((${names.own.bytes_of}(q.x) - 32.0) * scale), ${names.own.halves_of}((${names.own.bytes_of}(q.y) - 32.0) * scale));
}`,
};
