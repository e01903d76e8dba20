import type { KernelNames } from '@heddle/tensor';

/** Width of vectors that buffers of heads are declared with. */
export const headVector = (D: number): 1 | 4 => (D % 4 === 0 ? 4 : 1);

/**
 * An expression of four neighbouring values of a head in `buffer`: `head` counts heads in the buffer, which are `pitch` apart; 0
 * past the end of its D values.
 */
export function loadHead4(
  { at, at4 }: Pick<KernelNames, 'at' | 'at4'>,
  buffer: string,
  head: string,
  c: string,
  D: number,
  pitch: number = D,
): string {
  if (D % 4 === 0 && pitch % 4 === 0) return `${at4[buffer]}((${head}) * ${pitch / 4}u + ${c})`;
  const value = (i: number) =>
    `select(0.0, ${at[buffer]}((${head}) * ${pitch}u + min(${c} * 4u + ${i}u, ${D - 1}u)), ${c} * 4u + ${i}u < ${D}u)`;
  return `vec4<f32>(${[0, 1, 2, 3].map(value).join(', ')})`;
}

/** A statement that stores four neighbouring values of a head. */
export function storeHead4(
  { set, set4 }: Pick<KernelNames, 'set' | 'set4'>,
  buffer: string,
  head: string,
  c: string,
  value: string,
  D: number,
): string {
  if (D % 4 === 0) return `${set4[buffer]}((${head}) * ${D / 4}u + ${c}, ${value});`;
  return `for (var i = 0u; i < 4u; i++) { if (${c} * 4u + i < ${D}u) { ${set[buffer]}((${head}) * ${D}u + ${c} * 4u + i, ${value}[i]); } }`;
}
