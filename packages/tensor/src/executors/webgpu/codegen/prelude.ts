import { DeviceError } from '../../../checks/errors.ts';
import type { Prelude, PreludeFunction } from '../../../graph/webgpu-lowering.ts';

/**
 * WGSL functions that every kernel may call. Whoever writes a call asks for the name, and the kernel's text gets the function.
 *
 * Not-a-number and infinity are made from a variable, because WGSL refuses constants that are no finite numbers.
 */
const functions: Readonly<Record<PreludeFunction, (names: Prelude) => string>> = {
  nan_value: () => `fn nan_value() -> f32 {
  var bits = 0x7fc00000u;
  return bitcast<f32>(bits);
}`,
  infinity_value: () => `fn infinity_value() -> f32 {
  var bits = 0x7f800000u;
  return bitcast<f32>(bits);
}`,
  // lavapipe computes nothing at all where a divisor is known to be 0, and takes 0 times anything for 0
  safe_div: ({ nan_value, infinity_value }) => `fn safe_div(a: f32, b: f32) -> f32 {
  let infinite = bitcast<f32>(bitcast<u32>(${infinity_value}()) | (bitcast<u32>(b) & 0x80000000u));
  return select(a / b, select(a * infinite, ${nan_value}(), a == 0.0), b == 0.0);
}`,
  // WGSL lets drivers take it that there is none: only its bits are sure to tell
  is_nan: () => `fn is_nan(x: f32) -> bool {
  return (bitcast<u32>(x) & 0x7fffffffu) > 0x7f800000u;
}`,
  are_numbers: () => `fn are_numbers(a: f32, b: f32) -> bool {
  return max(bitcast<u32>(a) & 0x7fffffffu, bitcast<u32>(b) & 0x7fffffffu) <= 0x7f800000u;
}`,
  safe_max: ({ is_nan }) => `fn safe_max(a: f32, b: f32) -> f32 {
  return select(select(max(a, b), b, ${is_nan}(b)), a, ${is_nan}(a));
}`,
  safe_min: ({ is_nan }) => `fn safe_min(a: f32, b: f32) -> f32 {
  return select(select(min(a, b), b, ${is_nan}(b)), a, ${is_nan}(a));
}`,
  // WGSL's own gives what it likes for what f16 cannot hold, in SwiftShader even to the half beside it
  pack_halves: () => `fn pack_halves(v: vec2<f32>) -> u32 {
  let bits = bitcast<vec2<u32>>(v);
  let size = bits & vec2<u32>(0x7fffffffu);
  let beyond = size >= vec2<u32>(0x477ff000u);
  let packed = pack2x16float(select(v, vec2<f32>(0.0), beyond));
  let ends = select(vec2<u32>(0x7c00u), vec2<u32>(0x7e00u), size > vec2<u32>(0x7f800000u));
  let halves = select(vec2<u32>(packed & 0xffffu, packed >> 16u), ((bits >> vec2<u32>(16u)) & vec2<u32>(0x8000u)) | ends, beyond);
  return halves.x | (halves.y << 16u);
}`,
  // the nearest half, ties to even: WGSL's own quantizeToF16 may lose what lies below the normal ones or beyond the largest
  round_f16: () => `fn round_f16(x: f32) -> f32 {
  let bits = bitcast<u32>(x);
  let size = bits & 0x7fffffffu;
  let normal = (size + 0xfffu + ((size >> 13u) & 1u)) & 0xffffe000u;
  let small = bitcast<u32>(round(bitcast<f32>(size) * 16777216.0) * 5.9604644775390625e-8);
  let near = select(select(normal, small, size < 0x38800000u), 0x7f800000u, size >= 0x477ff000u);
  return bitcast<f32>((bits & 0x80000000u) | select(near, size, size > 0x7f800000u));
}`,
  safe_sign: ({ is_nan }) => `fn safe_sign(x: f32) -> f32 {
  return select(sign(x), x, ${is_nan}(x));
}`,
  // some drivers lose what is no number on the way, or give the logarithm of the least number for that of 0
  safe_exp: ({ is_nan }) => `fn safe_exp(x: f32) -> f32 {
  return select(exp(x), x, ${is_nan}(x));
}`,
  safe_exp4: () => `fn safe_exp4(x: vec4<f32>) -> vec4<f32> {
  return select(exp(x), x, (bitcast<vec4<u32>>(x) & vec4<u32>(0x7fffffffu)) > vec4<u32>(0x7f800000u));
}`,
  safe_log: ({ nan_value, infinity_value }) => `fn safe_log(x: f32) -> f32 {
  if (x == 0.0) { return -${infinity_value}(); }
  let bits = bitcast<u32>(x);
  if (bits >= 0x7f800000u) { return select(x, ${nan_value}(), bits > 0x7f800000u); }
  return log(x);
}`,
  // see gumbelFromBits: the logarithm that drivers have is coarse near 1, so a series stands in for it there
  gumbel_of_bits: () => `fn gumbel_of_bits(high: u32, low: u32) -> f32 {
  let cell = high >> 9u;
  let coarse = (2.0 * f32(cell) + 1.0) * 5.9604644775390625e-8;
  let v = f32(cell) * 1.1920928955078125e-7 + (2.0 * f32(((high & 0x1ffu) << 14u) | (low >> 18u)) + 1.0) * 7.105427357601002e-15;
  let series = v * (1.0 + v * (0.5 + v * (0.33333333 + v * (0.25 + v * (0.2 + v * (0.16666667 + v * (0.14285714 + v * 0.125)))))));
  return -log(select(-log(1.0 - coarse), series, cell < 1048576u));
}`,
  // WGSL promises three digits of sine and cosine; these have seven, by the reduction and polynomials of Cephes
  safe_sin: ({ turned }) => `fn safe_sin(x: f32) -> f32 {
  return ${turned}(x, 0);
}`,
  safe_cos: ({ turned }) => `fn safe_cos(x: f32) -> f32 {
  return ${turned}(x, 1);
}`,
  turned: () => `fn turned(x: f32, quarters: i32) -> f32 {
  let k = round(x * 0.63661977236);
  let r = ((x - k * 1.5703125) - k * 4.837512969970703125e-4) - k * 7.54978995489188216e-8;
  let z = r * r;
  let sine = ((-1.9515295891e-4 * z + 8.3321608736e-3) * z - 1.6666654611e-1) * z * r + r;
  let cosine = ((2.443315711809948e-5 * z - 1.388731625493765e-3) * z + 4.166664568298827e-2) * z * z - 0.5 * z + 1.0;
  let quadrant = (i32(k) + quarters) & 3;
  let value = select(sine, cosine, (quadrant & 1) == 1);
  return select(value, -value, quadrant >= 2);
}`,
  // within 5e-7 relative: its series near 0, elsewhere by one exponential, of which drivers' own tanh takes several times as long
  safe_tanh: ({ is_nan }) => `fn safe_tanh(x: f32) -> f32 {
  let size = min(abs(x), 15.0);
  let square = size * size;
  let series = x + x * square * (-0.33333333 + square * (0.13333333 + square * (-0.053968254 + square * 0.021869488)));
  let beyond = 1.0 - 2.0 / (exp2(size * 2.885390082) + 1.0);
  return select(select(select(-beyond, beyond, x > 0.0), series, size < 0.3), x, ${is_nan}(x));
}`,
  // WGSL leaves pow of a negative base undefined
  safe_pow: ({ nan_value, infinity_value, is_nan }) => `fn safe_pow(x: f32, y: f32) -> f32 {
  if (y == 0.0 || x == 1.0) { return 1.0; }
  if (${is_nan}(x) || ${is_nan}(y)) { return ${nan_value}(); }
  if (x == 0.0) { return select(${infinity_value}(), 0.0, y > 0.0); }
  let magnitude = select(pow(abs(x), y), 1.0, x == -1.0);
  if (x > 0.0) { return magnitude; }
  if (floor(y) != y) { return select(${nan_value}(), magnitude, x == -${infinity_value}()); }
  return select(magnitude, -magnitude, floor(y * 0.5) * 2.0 != y);
}`,
  // with the sign of the divisor; an infinite one leaves what is on its side
  safe_remainder: ({ nan_value, infinity_value, is_nan }) => `fn safe_remainder(a: f32, b: f32) -> f32 {
  if (${is_nan}(a) || ${is_nan}(b) || b == 0.0 || abs(a) == ${infinity_value}()) { return ${nan_value}(); }
  let rest = select(a - b * trunc(a / b), a, abs(b) == ${infinity_value}());
  return select(rest, rest + b, rest != 0.0 && (rest < 0.0) != (b < 0.0));
}`,
  // `none` is 0, which only who calls knows
  lowered_squares: () => `fn lowered_squares(x: vec4<f32>, none: u32) -> f32 {
  let own = bitcast<vec4<f32>>(bitcast<vec4<u32>>(x) | vec4<u32>(none));
  return dot(own, own);
}`,
  unpack2xbf16: () => `fn unpack2xbf16(word: u32) -> vec2<f32> {
  return bitcast<vec2<f32>>(vec2<u32>(word << 16u, word & 0xffff0000u));
}`,
  // to the nearest, ties to even; what is no number stays none
  pack2xbf16: () => `fn pack2xbf16(v: vec2<f32>) -> u32 {
  let bits = bitcast<vec2<u32>>(v);
  let rounded = (bits + 0x7fffu + ((bits >> vec2<u32>(16u)) & vec2<u32>(1u))) >> vec2<u32>(16u);
  let none = (bits & vec2<u32>(0x7fffffffu)) > vec2<u32>(0x7f800000u);
  let halves = select(rounded, (bits >> vec2<u32>(16u)) | vec2<u32>(0x40u), none);
  return halves.x | (halves.y << 16u);
}`,
  round_bf16: ({ unpack2xbf16, pack2xbf16 }) => `fn round_bf16(x: f32) -> f32 {
  return ${unpack2xbf16}(${pack2xbf16}(vec2<f32>(x, 0.0))).x;
}`,
  // the four bytes of a word as numbers from 0
  block_bytes: () => `fn block_bytes(word: u32) -> vec4<f32> {
  return vec4<f32>((vec4<u32>(word) >> vec4<u32>(0u, 8u, 16u, 24u)) & vec4<u32>(0xffu));
}`,
  // four values of mxfp4, twice what they are and 16 more, of the low halves of the bytes of a word
  fp4_levels: () => `fn fp4_levels(q: u32) -> u32 {
  let m = q & 0x07070707u;
  let upper = (m >> 2u) & 0x01010101u;
  let half = upper & m;
  let one = upper & (m >> 1u);
  let twice = m + half + ((one + (half & one)) << 1u);
  let flip = ((q >> 3u) & 0x01010101u) * 31u;
  return (twice ^ flip) + 0x10101010u - flip;
}`,
  // half of the power of two that a byte stands for
  e8m0_half: () => `fn e8m0_half(e: u32) -> f32 {
  return bitcast<f32>(select((e - 1u) << 23u, 0x00200000u << e, e < 2u));
}`,
  // scale and minimum of the smaller block j of eight, from the first four words of a block of q4_k or q5_k
  q4_k_factors: () => `fn q4_k_factors(two: u32, a: u32, b: u32, c: u32, j: u32) -> vec2<f32> {
  let shift = 8u * (j & 3u);
  let scale = select((a >> shift) & 63u, ((c >> shift) & 15u) | (((a >> shift) >> 2u) & 48u), j >= 4u);
  let minimum = select((b >> shift) & 63u, ((c >> (shift + 4u)) & 15u) | (((b >> shift) >> 2u) & 48u), j >= 4u);
  return unpack2x16float(two) * vec2<f32>(f32(scale), f32(minimum));
}`,
};

/** Names of the functions; those that are asked for are added to `asked`. @throws DeviceError for a name that is none */
export function preludeNames(asked: Set<PreludeFunction>): Prelude {
  return new Proxy({} as Prelude, {
    get(_, name) {
      if (!Object.hasOwn(functions, name))
        throw new DeviceError(`the prelude of kernels has no function ${String(name)}`);
      asked.add(name as PreludeFunction);
      return name;
    },
  });
}

/** The functions that were asked for, and those that they call, before their callers. */
export function preludeFor(asked: ReadonlySet<PreludeFunction>): string[] {
  const found = new Map<PreludeFunction, string>();
  const add = (called: ReadonlySet<PreludeFunction>) => {
    for (const name of Object.keys(functions) as PreludeFunction[]) {
      if (!called.has(name) || found.has(name)) continue;
      const callees = new Set<PreludeFunction>();
      const text = functions[name](preludeNames(callees));
      add(callees);
      found.set(name, text);
    }
  };
  add(asked);
  return [...found.values()];
}
