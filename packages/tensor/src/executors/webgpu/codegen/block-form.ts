import type { BlockFormat } from '../../../dtype.ts';
import type { Prelude } from '../../../graph/webgpu-lowering.ts';
import type { BufferForm } from './buffer-form.ts';

/**
 * Four neighbouring values out of a buffer of blocks, for kernels that read them as any others (`block-layout.ts` says how
 * they lie there). `word(i)` is word i of the buffer; the body of a function of `k`, which counts fours.
 */
const decoders: Readonly<Record<BlockFormat, (word: (i: string) => string, prelude: Prelude) => string>> = {
  q4_0: (word, { block_bytes }) => `
  let block = k >> 3u;
  let group = (block >> 3u) * 36u;
  let q = (${word('group + (block & 7u) * 4u + (k & 3u)')} >> (k & 4u)) & 0x0f0f0f0fu;
  let d = unpack2x16float(${word('group + 32u + ((block & 7u) >> 1u)')})[block & 1u];
  return d * (${block_bytes}(q) - 8.0);`,
  q8_0: (word, { block_bytes }) => `
  let block = k >> 3u;
  let group = (block >> 3u) * 68u;
  let q = ${word('group + (block & 7u) * 8u + (k & 7u)')} ^ 0x80808080u;
  let d = unpack2x16float(${word('group + 64u + ((block & 7u) >> 1u)')})[block & 1u];
  return d * (${block_bytes}(q) - 128.0);`,
  q4_k: (word, { block_bytes, q4_k_factors }) => `
  let at = (k >> 6u) * 36u;
  let j = (k >> 3u) & 7u;
  let q = (${word('at + 4u + (j >> 1u) * 8u + (k & 7u)')} >> (4u * (j & 1u))) & 0x0f0f0f0fu;
  let factors = ${q4_k_factors}(${word('at')}, ${word('at + 1u')}, ${word('at + 2u')}, ${word('at + 3u')}, j);
  return factors.x * ${block_bytes}(q) - factors.y;`,
  q5_k: (word, { block_bytes, q4_k_factors }) => `
  let at = (k >> 6u) * 44u;
  let j = (k >> 3u) & 7u;
  let low = (${word('at + 12u + (j >> 1u) * 8u + (k & 7u)')} >> (4u * (j & 1u))) & 0x0f0f0f0fu;
  let fifth = (${word('at + 4u + (k & 7u)')} >> j) & 0x01010101u;
  let factors = ${q4_k_factors}(${word('at')}, ${word('at + 1u')}, ${word('at + 2u')}, ${word('at + 3u')}, j);
  return factors.x * ${block_bytes}(low | (fifth << 4u)) - factors.y;`,
  mxfp4: (word, { block_bytes, e8m0_half, fp4_levels }) => `
  let block = k >> 3u;
  let group = (block >> 4u) * 68u;
  let q = ${word('group + (block & 15u) * 4u + (k & 3u)')} >> (k & 4u);
  let e = (${word('group + 64u + ((block & 15u) >> 2u)')} >> (8u * (block & 3u))) & 255u;
  return ${e8m0_half}(e) * (${block_bytes}(${fp4_levels}(q)) - 16.0);`,
  q6_k: (word, { block_bytes }) => `
  let block = k >> 6u;
  let f = k & 63u;
  let group = (block >> 3u) * 420u;
  let at = group + (block & 7u) * 52u;
  let low = (${word('at + (f >> 5u) * 16u + (f & 15u)')} >> (4u * ((f >> 4u) & 1u))) & 0x0f0f0f0fu;
  let high = (${word('at + 32u + (f >> 5u) * 8u + (f & 7u)')} >> (2u * ((f >> 3u) & 3u))) & 0x03030303u;
  let scale = i32(${word('at + 48u + (f >> 4u)')} << (24u - 8u * ((f >> 2u) & 3u))) >> 24u;
  let d = unpack2x16float(${word('group + 416u + ((block & 7u) >> 1u)')})[block & 1u];
  return d * f32(scale) * (${block_bytes}(low | (high << 4u)) - 32.0);`,
};

/** Buffers of blocks, which kernels read and never write. */
export function blockForm(name: string, format: BlockFormat, vector: 1 | 4 | 8, prelude: Prelude): BufferForm {
  const word = (i: string) => (vector === 1 ? `${name}[${i}]` : `${name}[(${i}) >> 2u][(${i}) & 3u]`);
  const refuse = (): never => {
    throw new Error(`${format} is never written by kernels`);
  };
  return {
    element: vector === 1 ? 'u32' : 'vec4<u32>',
    helper: () => `fn ${name}_block4(k: u32) -> vec4<f32> {${decoders[format](word, prelude)}\n}`,
    read: (i) => `${name}_block4(${i} >> 2u)[${i} & 3u]`,
    read2: (k) => `select(${name}_block4(${k} >> 1u).xy, ${name}_block4(${k} >> 1u).zw, (${k} & 1u) == 1u)`,
    read4: (k) => `${name}_block4(${k})`,
    write2: refuse,
    write4: refuse,
  };
}
