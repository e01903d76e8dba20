import type { WebGpuLowering } from '@heddle/tensor';
import type { TracedFunctions } from '../../flex/trace.ts';
import { packedPrefillByMatrix } from '../../tensor-core/packed-prefill.wgsl.ts';
import { named, type PackedAttributes, settingsOf } from '../attributes.ts';
import { packedDecode } from './decode.wgsl.ts';
import { packedPrefill } from './prefill.wgsl.ts';
import { packedFunctions } from './score-functions.wgsl.ts';
import { knownSettings } from './scores.wgsl.ts';

/** Rows up to which each gets workgroups of its own, whatever sequences they are of. */
const fewRows = 8;

/** Packed attention, with score functions as part of what its kernels make of a score. */
export const packedWebGpu = (traced?: TracedFunctions): WebGpuLowering<PackedAttributes> => ({
  supports({ inputs, attributes, outputs }, { shaderF16, maxStorageBuffers }) {
    const { q } = named(inputs, attributes);
    if (!settingsOf(inputs, attributes).every((name) => knownSettings.includes(name))) return false;
    if (traced && !packedFunctions(traced, inputs, attributes)) return false;
    const odd = (q.shape[2] as number) % 4 !== 0 || attributes.valueDim % 4 !== 0;
    return !(odd && q.dtype === 'f16' && !shaderF16) && inputs.length + outputs.length <= maxStorageBuffers;
  },
  kernels(context) {
    const { inputs, attributes, bound } = context;
    const own = { ...context, functions: traced && packedFunctions(traced, inputs, attributes) };
    const { q, lengths } = named(inputs, attributes);
    const rows = bound(q.shape[0]!);
    // about one row of each sequence: decoding
    const few = attributes.cache !== undefined && rows <= Math.max(fewRows, bound(lengths!.shape[0]!));
    const byRow = attributes.layout === 'auto' ? few : attributes.layout !== 'tiles' && attributes.cache !== undefined;
    return byRow ? packedDecode(own) : [packedPrefillByMatrix(own) ?? packedPrefill(own)];
  },
});
