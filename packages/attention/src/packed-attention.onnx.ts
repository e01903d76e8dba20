import type { OnnxLowering } from '@heddle/tensor';
import type { PackedAttributes } from './packed-attention.ts';

export const packedOnnx: OnnxLowering<PackedAttributes> = {
  supports: () => false,
  emit: () => '',
};
