import { type DType, isBlockFormat } from '../../../dtype.ts';
import type { Prelude } from '../../../graph/webgpu-lowering.ts';
import { blockForm } from './block-form.ts';

/** WGSL types of values in registers: f16, and what is storage-only, is computed in f32, bool is 0 or 1. */
export const registerType: Readonly<Record<DType, 'f32' | 'i32' | 'u32'>> = {
  f32: 'f32',
  f16: 'f32',
  i32: 'i32',
  u32: 'u32',
  bool: 'u32',
  bf16: 'f32',
  q8_0: 'f32',
  q4_0: 'f32',
  mxfp4: 'f32',
  q4_k: 'f32',
  q5_k: 'f32',
  q6_k: 'f32',
};

/**
 * How a buffer is declared and how values go between it and registers. `i` counts values, `k` pairs (`2`) or fours (`4`);
 * each is a name. `read` gives an expression, `write` statements.
 */
export interface BufferForm {
  readonly element: string;
  /** A function that reading calls. */
  readonly helper?: () => string;
  readonly read: (i: string) => string;
  readonly read2: (k: string) => string;
  readonly read4: (k: string) => string;
  /** Missing where two values share a word. */
  readonly write?: (i: string, v: string) => string;
  readonly write2: (k: string, v: string) => string;
  readonly write4: (k: string, v: string) => string;
}

/** How two values of 16 bits get out of a word and into it. */
interface Pairs {
  unpack(word: string): string;
  pack(two: string): string;
}
const pairsOf = (dtype: DType, prelude: Prelude): Pairs =>
  dtype === 'bf16'
    ? { unpack: (word) => `${prelude.unpack2xbf16}(${word})`, pack: (two) => `${prelude.pack2xbf16}(${two})` }
    : { unpack: (word) => `unpack2x16float(${word})`, pack: (two) => `${prelude.pack_halves}(${two})` };

/** How values lie in a buffer, and the functions that may be called for them. */
interface FormSpec {
  readonly dtype: DType;
  readonly vector: 1 | 4 | 8;
  /** Whether they are in pairs in u32, as bf16 always is, and f16 where the adapter has no shader-f16. */
  readonly packed: boolean;
  readonly prelude: Prelude;
}

/** The form of a buffer's values. */
export function bufferForm(name: string, { dtype, vector, packed, prelude }: FormSpec): BufferForm {
  if (isBlockFormat(dtype)) return blockForm(name, dtype, vector, prelude);
  const pairs = pairsOf(dtype, prelude);
  if (vector === 8) return eightHalves(name, pairs);
  if (packed) return vector === 4 ? packedVectors(name, pairs) : packedWords(name, pairs);
  const types = { stored: dtype === 'f16' ? 'f16' : registerType[dtype], register: registerType[dtype] };
  return vector === 4 ? vectors(name, types) : scalars(name, types);
}

interface Types {
  readonly stored: string;
  readonly register: string;
}

function scalars(b: string, { stored, register }: Types): BufferForm {
  const load = (i: string) => (stored === register ? `${b}[${i}]` : `${register}(${b}[${i}])`);
  const store = (i: string, v: string) => `${b}[${i}] = ${stored === register ? v : `${stored}(${v})`};`;
  const several = (width: number) => Array.from({ length: width }, (_, j) => j);
  const gather = (k: string, width: number) =>
    `vec${width}<${register}>(${several(width).map((j) => load(`${width}u * ${k} + ${j}u`))})`;
  const spread = (k: string, v: string, width: number) =>
    several(width)
      .map((j) => store(`${width}u * ${k} + ${j}u`, `${v}[${j}]`))
      .join(' ');
  return {
    element: stored,
    read: load,
    read2: (k) => gather(k, 2),
    read4: (k) => gather(k, 4),
    write: store,
    write2: (k, v) => spread(k, v, 2),
    write4: (k, v) => spread(k, v, 4),
  };
}

function vectors(b: string, { stored, register }: Types): BufferForm {
  const same = stored === register;
  const place = (i: string) => `${b}[${i} >> 2u][${i} & 3u]`;
  const pair = (k: string, j: number) => `${b}[${k} >> 1u][2u * (${k} & 1u) + ${j}u]`;
  const into = (v: string) => (same ? v : `${stored}(${v})`);
  return {
    element: `vec4<${stored}>`,
    read: (i) => (same ? place(i) : `${register}(${place(i)})`),
    read2: (k) => `vec2<${register}>(vec2<${stored}>(${pair(k, 0)}, ${pair(k, 1)}))`,
    read4: (k) => (same ? `${b}[${k}]` : `vec4<${register}>(${b}[${k}])`),
    write: (i, v) => `${place(i)} = ${into(v)};`,
    write2: (k, v) => `${pair(k, 0)} = ${into(`${v}.x`)}; ${pair(k, 1)} = ${into(`${v}.y`)};`,
    write4: (k, v) => `${b}[${k}] = ${same ? v : `vec4<${stored}>(${v})`};`,
  };
}

function packedWords(b: string, { unpack, pack }: Pairs): BufferForm {
  return {
    element: 'u32',
    read: (i) => `${unpack(`${b}[${i} >> 1u]`)}[${i} & 1u]`,
    read2: (k) => `${unpack(`${b}[${k}]`)}`,
    read4: (k) => `vec4<f32>(${unpack(`${b}[2u * ${k}]`)}, ${unpack(`${b}[2u * ${k} + 1u]`)})`,
    write2: (k, v) => `${b}[${k}] = ${pack(v)};`,
    write4: (k, v) => `${b}[2u * ${k}] = ${pack(`${v}.xy`)}; ${b}[2u * ${k} + 1u] = ${pack(`${v}.zw`)};`,
  };
}

function packedVectors(b: string, { unpack, pack }: Pairs): BufferForm {
  return {
    element: 'vec2<u32>',
    read: (i) => `${unpack(`${b}[${i} >> 2u][(${i} >> 1u) & 1u]`)}[${i} & 1u]`,
    read2: (k) => `${unpack(`${b}[${k} >> 1u][${k} & 1u]`)}`,
    read4: (k) => `vec4<f32>(${unpack(`${b}[${k}].x`)}, ${unpack(`${b}[${k}].y`)})`,
    write2: (k, v) => `${b}[${k} >> 1u][${k} & 1u] = ${pack(v)};`,
    write4: (k, v) => `${b}[${k}] = vec2<u32>(${pack(`${v}.xy`)}, ${pack(`${v}.zw`)});`,
  };
}

function eightHalves(b: string, { unpack, pack }: Pairs): BufferForm {
  return {
    element: 'vec4<u32>',
    read: (i) => `${unpack(`${b}[${i} >> 3u][(${i} >> 1u) & 3u]`)}[${i} & 1u]`,
    read2: (k) => `${unpack(`${b}[${k} >> 2u][${k} & 3u]`)}`,
    read4: (k) =>
      `vec4<f32>(${unpack(`${b}[${k} >> 1u][2u * (${k} & 1u)]`)}, ${unpack(`${b}[${k} >> 1u][2u * (${k} & 1u) + 1u]`)})`,
    write2: (k, v) => `${b}[${k} >> 2u][${k} & 3u] = ${pack(v)};`,
    write4: (k, v) =>
      `${b}[${k} >> 1u][2u * (${k} & 1u)] = ${pack(`${v}.xy`)}; ${b}[${k} >> 1u][2u * (${k} & 1u) + 1u] = ${pack(`${v}.zw`)};`,
  };
}
