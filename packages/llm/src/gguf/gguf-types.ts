import { type BlockType, blockTypes } from '@heddle/tensor/quantized';

/** Types of tensors in GGUF files that are read here. */
export type GgufType = BlockType | 'F32' | 'F16';

/** Numbers of all types that the format has or had; those that are not read are named in messages. */
const names: Readonly<Record<number, string>> = {
  0: 'F32',
  1: 'F16',
  2: 'Q4_0',
  3: 'Q4_1',
  6: 'Q5_0',
  7: 'Q5_1',
  8: 'Q8_0',
  9: 'Q8_1',
  10: 'Q2_K',
  11: 'Q3_K',
  12: 'Q4_K',
  13: 'Q5_K',
  14: 'Q6_K',
  15: 'Q8_K',
  16: 'IQ2_XXS',
  17: 'IQ2_XS',
  18: 'IQ3_XXS',
  19: 'IQ1_S',
  20: 'IQ4_NL',
  21: 'IQ3_S',
  22: 'IQ2_S',
  23: 'IQ4_XS',
  24: 'I8',
  25: 'I16',
  26: 'I32',
  27: 'I64',
  28: 'F64',
  29: 'IQ1_M',
  30: 'BF16',
  34: 'TQ1_0',
  35: 'TQ2_0',
  39: 'MXFP4',
};

const sizes: Readonly<Record<GgufType, { readonly values: number; readonly bytes: number }>> = {
  ...blockTypes,
  F32: { values: 1, bytes: 4 },
  F16: { values: 1, bytes: 2 },
};

/** Name of a type by its number. */
export function typeName(number: number): string {
  return names[number] ?? `number ${number}`;
}

/** Number of a type by its name. */
export function typeNumber(type: GgufType): number {
  return Number(Object.entries(names).find(([, name]) => name === type)![0]);
}

export function isReadType(name: string): name is GgufType {
  return Object.hasOwn(sizes, name);
}

/** Bytes of a tensor of so many values, which are whole blocks. */
export function typeBytes(type: GgufType, count: number): number {
  return (count / sizes[type].values) * sizes[type].bytes;
}

/** Values in a block: rows are whole blocks. */
export function blockValues(type: GgufType): number {
  return sizes[type].values;
}
