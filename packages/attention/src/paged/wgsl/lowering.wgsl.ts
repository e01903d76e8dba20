import type { WebGpuLowering } from '@heddle/tensor';
import { packedPrefillByMatrix } from '../../tensor-core/packed-prefill.wgsl.ts';
import type { PackedAttributes } from '../packed-attention.ts';
import { packedDecode } from './decode.wgsl.ts';
import { packedPrefill } from './prefill.wgsl.ts';

/** Rows up to which each gets workgroups of its own, whatever sequences they are of. */
const fewRows = 8;

export const packedWebGpu: WebGpuLowering<PackedAttributes> = {
  supports({ inputs }, { shaderF16, maxStorageBuffers }) {
    const oddHalves = inputs[0]!.dtype === 'f16' && !shaderF16 && (inputs[0]!.shape[2] as number) % 4 !== 0;
    return !oddHalves && inputs.length + 1 <= maxStorageBuffers;
  },
  kernels(context) {
    const { inputs, attributes, bound } = context;
    const rows = bound(inputs[0]!.shape[0]!);
    // about one row of each sequence: decoding
    const few = attributes.cache !== undefined && rows <= Math.max(fewRows, bound(inputs[8]!.shape[0]!));
    const byRow = attributes.layout === 'auto' ? few : attributes.layout === 'rows' && attributes.cache !== undefined;
    return byRow ? packedDecode(context) : [packedPrefillByMatrix(context) ?? packedPrefill(context)];
  },
};
