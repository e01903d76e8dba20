import type { KernelNames, TensorType } from '@heddle/tensor';
import { named, type PackedAttributes } from '../attributes.ts';

/** WGSL of `keys_at4` and `values_at4` over quantised pages, in place of those of buffers of floats (see `headNames`); otherwise nothing. */
export function pageText({ at }: KernelNames, inputs: readonly TensorType[], attributes: PackedAttributes): string {
  const bits = attributes.cache?.bits;
  if (!bits) return '';
  const { q, keyScales } = named(inputs, attributes);
  const fours = (q.shape[2] as number) / 4;
  const groups = keyScales!.shape[2] as number;
  const word = bits === 8 ? ['i', '0u'] : ['i / 2u', 'i % 2u * 16u'];
  const shifts = [0, 1, 2, 3].map((j) => `${32 - bits * (j + 1)}u`).join(', ');
  return ['key', 'value']
    .map(
      (name) => `fn ${name}s_at4(i: u32) -> vec4<f32> {
  let word = vec4<i32>(bitcast<i32>(${at[`${name}_words`]}(${word[0]}) >> (${word[1]})));
  let integers = (word << vec4<u32>(${shifts})) >> vec4<u32>(${32 - bits}u);
  return vec4<f32>(integers) * ${at[`${name}_scales`]}(i / ${fours}u * ${groups}u + i % ${fours}u / ${fours / groups}u);
}`,
    )
    .join('\n');
}

/** Names with which heads of a buffer are read by fours: those of `pageText` for quantised pages. */
export function headNames(
  names: KernelNames,
  { cache }: PackedAttributes,
  buffer: string,
): Pick<KernelNames, 'at' | 'at4'> {
  const isPage = cache?.bits !== undefined && (buffer === 'keys' || buffer === 'values');
  return isPage ? { at: {}, at4: { [buffer]: `${buffer}_at4` } } : names;
}

/** WGSL of `slot_of(key)`: the place of a cached key of `sequence`, in blocks of the size `block_size`. */
export function slotText({ at, size }: KernelNames, blockSize: number): string {
  // a division by a size that is not known to the compiler takes as long as the rest of a key's work
  const shift = Math.log2(blockSize);
  const [block, inside] = Number.isInteger(shift)
    ? [`key >> firstTrailingBit(${size.block_size})`, `key & (${size.block_size} - 1u)`]
    : [`key / ${size.block_size}`, `key % ${size.block_size}`];
  return `fn slot_of(key: u32) -> u32 {
  return u32(${at.table}(u32(sequence) * ${size.N} + (${block}))) * ${size.block_size} + (${inside});
}`;
}
