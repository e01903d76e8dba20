import type { TensorType } from '@heddle/tensor';
import { named, type PackedAttributes } from '../attributes.ts';

/** WGSL of `keys_at4` and `values_at4` over quantised pages, in place of those of buffers of floats; otherwise nothing. */
export function pageText(inputs: readonly TensorType[], attributes: PackedAttributes): string {
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
  let word = vec4<i32>(bitcast<i32>(${name}_words_at(${word[0]}) >> (${word[1]})));
  let integers = (word << vec4<u32>(${shifts})) >> vec4<u32>(${32 - bits}u);
  return vec4<f32>(integers) * ${name}_scales_at(i / ${fours}u * ${groups}u + i % ${fours}u / ${fours / groups}u);
}`,
    )
    .join('\n');
}

/** WGSL of `slot_of(key)`: the place of a cached key of `sequence`, in blocks of `params.block_size` slots. */
export function slotText(blockSize: number): string {
  // a division by a size that is not known to the compiler takes as long as the rest of a key's work
  const shift = Math.log2(blockSize);
  const [block, inside] = Number.isInteger(shift)
    ? ['key >> firstTrailingBit(params.block_size)', 'key & (params.block_size - 1u)']
    : ['key / params.block_size', 'key % params.block_size'];
  return `fn slot_of(key: u32) -> u32 {
  return u32(table_at(u32(sequence) * params.N + (${block}))) * params.block_size + (${inside});
}`;
}
