/**
 * Block-quantised weights on the host: `quantize` makes blocks, `decodeBlocks` reads the 13 block types of GGUF files that are
 * supported, `importBlocks` brings a tensor of such a file into a dtype that devices take.
 */
export { type BlockType, blockTypes, isBlockType } from './quantized/block-type.ts';
export { decodeBlocks } from './quantized/decode.ts';
export { type ImportedBlocks, importBlocks } from './quantized/import-blocks.ts';
export { quantize } from './quantized/quantize.ts';
