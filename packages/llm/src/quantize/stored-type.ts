import { blockSizes } from '@heddle/tensor';
import { quantize } from '@heddle/tensor/quantized';
import type { GgufType } from '../gguf/gguf-types.ts';
import { toF16 } from '../models/safetensors-weights.ts';
import { rowsOf, type SourceTensor } from './source-tensor.ts';

/** What matrices may be quantised to. */
export const quantizedDTypes = ['f32', 'f16', 'q8_0', 'q6_k', 'q5_k', 'q4_k', 'q4_0', 'mxfp4'] as const;
export type QuantizedDType = (typeof quantizedDTypes)[number];

type Stored = QuantizedDType;

const fourBits: ReadonlySet<QuantizedDType> = new Set(['q4_0', 'q4_k', 'mxfp4']);

/** Values that are converted at once: 16 MiB of f32. */
const chunkValues = 2 ** 22;

/**
 * How a tensor is stored. Vectors stay f32. The head of a model, also where it is the embedding, keeps six bits where other matrices
 * have four: it decides between tokens. Rows that are no whole blocks of 256 take q8_0, and f16 where they are none of 32 either.
 * @param isExact whether it stays f32 whatever its shape
 */
export function storedType(shape: readonly number[], dtype: QuantizedDType, isHead: boolean, isExact = false): Stored {
  if (shape.length < 2 || isExact) return 'f32';
  const wanted = isHead && fourBits.has(dtype) ? 'q6_k' : dtype;
  if (wanted === 'f16' || wanted === 'f32') return wanted;
  const { length } = rowsOf(shape);
  if (length % blockSizes[wanted].values === 0) return wanted;
  return length % blockSizes.q8_0.values === 0 ? 'q8_0' : 'f16';
}

/** Whether a tensor of a GGUF file stays f32 whatever its shape: what routes, convolves a few positions, or is added. */
export const isExact = (name: string): boolean =>
  /\.bias$|\.(?:ffn_gate_inp(?:_shexp)?|ssm_conv1d|ssm_norm|ssm_a|ssm_d|shortconv\.conv)(?:\.weight)?$/.test(name);

/** What GGUF files call it. */
export const ggufTypes: Readonly<Record<Stored, GgufType>> = {
  f32: 'F32',
  f16: 'F16',
  q8_0: 'Q8_0',
  q6_k: 'Q6_K',
  q5_k: 'Q5_K',
  q4_k: 'Q4_K',
  q4_0: 'Q4_0',
  mxfp4: 'MXFP4',
};

/**
 * The bytes of a tensor in a type, some rows at a time: no more than a few chunks are in memory.
 * @param headRows rows that are taken together
 * @throws FileFormatError, ArgumentError for values that the type does not reach
 */
export async function* storedPieces(
  tensor: SourceTensor,
  type: Stored,
  headRows = 1,
): AsyncGenerator<Uint8Array, void, undefined> {
  const { rows, length } = rowsOf(tensor.shape);
  const step = Math.max(1, Math.floor(chunkValues / Math.max(1, length * headRows))) * headRows;
  for (let from = 0; from < rows; from += step) {
    const values = await tensor.rows(from, Math.min(step, rows - from));
    yield bytesAs(tensor.name, values, type);
  }
}

function bytesAs(name: string, values: Float32Array, type: Stored): Uint8Array {
  if (type === 'f32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  if (type === 'f16') return new Uint8Array(toF16(name, values).buffer);
  return quantize(values, type);
}
