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
