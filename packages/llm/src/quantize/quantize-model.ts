import { ArgumentError, checkOptions } from '@heddle/tensor';
import type { HubOptions } from '../hub/hub-options.ts';
import { openWriter } from '../training/written-folder.ts';
import { ggufBytes, ggufEntry } from './gguf-bytes.ts';
import { quantizeFolder } from './quantize-folder.ts';
import { openQuantizeSource } from './quantize-source.ts';
import { ggufTypes, isExact, type QuantizedDType, quantizedDTypes, storedPieces, storedType } from './stored-type.ts';

/** Options of `quantizeModel`. */
export interface QuantizeOptions {
  /**
   * What matrices are stored in. Vectors stay f32; the head (or an embedding that is the head) of a model in four bits keeps six;
   * matrices whose rows are no whole blocks take q8_0 or f16.
   */
  readonly dtype: QuantizedDType;
  /** How a model of a hub is fetched. */
  readonly hub?: HubOptions;
  /** Called after each piece that is written. */
  readonly onProgress?: (progress: { readonly writtenBytes: number; readonly totalTensors: number }) => void;
}

/** What was written. */
export interface QuantizedModel {
  readonly path: string;
  readonly byteLength: number;
  /** What could not be said in the file, one line each. */
  readonly notes: readonly string[];
}

/** A file of weights is no folder. */
const isWeights = /\.(?:safetensors|bin|pt|pth|onnx)$/i;

/** Numbers of what most of a file's tensors are. */
const fileTypes: Readonly<Record<QuantizedDType, number>> = {
  f32: 0,
  f16: 1,
  q4_0: 2,
  q8_0: 7,
  q4_k: 14,
  q5_k: 16,
  q6_k: 18,
  mxfp4: 38,
};

/**
 * Writes a model with its matrices quantised: as a GGUF file where the target ends in .gguf, otherwise as a folder with safetensors.
 * Tensors are read some rows at a time, so that models larger than memory pass through; a file gets its name once it is whole.
 *
 * @param source a folder, a GGUF file, or a model of a hub, of any family that GGUF files have a name for
 * @param target path of the file, or of a folder with another name than .gguf; what stands there is replaced
 * @throws ArgumentError, HubError; FileFormatError as `loadModel`, for what a GGUF file cannot hold, and where nothing can be written
 */
export async function quantizeModel(source: string, target: string, options: QuantizeOptions): Promise<QuantizedModel> {
  checkOptions('quantizeModel', options, ['dtype', 'hub', 'onProgress']);
  const { dtype, hub = {}, onProgress } = options;
  if (!quantizedDTypes.includes(dtype))
    throw new ArgumentError(`quantizeModel: dtype takes ${quantizedDTypes.join(', ')}, got ${String(dtype)}`);
  if (typeof target !== 'string' || !/[^/\\.]/.test(target) || isWeights.test(target))
    throw new ArgumentError(
      `quantizeModel: the target must end in .gguf or be a folder, got ${JSON.stringify(target) ?? String(target)}`,
    );
  if (!/[^/\\]\.gguf$/i.test(target)) {
    const onBytes = (writtenBytes: number, totalTensors: number) => onProgress?.({ writtenBytes, totalTensors });
    return quantizeFolder(source, target, { dtype, hub, onBytes });
  }
  const model = await openQuantizeSource(source, hub);
  try {
    const tensors = model.tensors.map((tensor) => {
      const type = storedType(tensor.shape, dtype, tensor.isHead, isExact(tensor.name));
      const pieces = () => storedPieces(tensor, type, tensor.headRows);
      return { name: tensor.name, shape: tensor.shape, type: ggufTypes[type], pieces };
    });
    const entries = [
      ...model.entries,
      ggufEntry('general.file_type', ['u32', fileTypes[dtype]]),
      ggufEntry('general.quantization_version', ['u32', 2]),
    ];
    let byteLength = 0;
    const counted = async function* () {
      for await (const piece of ggufBytes(entries, [...model.fixed, ...tensors])) {
        yield piece;
        byteLength += piece.byteLength;
        onProgress?.({ writtenBytes: byteLength, totalTensors: tensors.length });
      }
    };
    const slash = Math.max(target.lastIndexOf('/'), target.lastIndexOf('\\'));
    const writer = await openWriter('quantizeModel', slash < 0 ? '.' : target.slice(0, slash) || '/');
    await writer.write(target.slice(slash + 1), counted());
    return { path: target, byteLength, notes: model.notes.all };
  } finally {
    await model.close();
  }
}
