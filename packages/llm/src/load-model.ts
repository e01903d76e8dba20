import { type AttentionKernel, flash } from '@heddle/attention';
import { ArgumentError, checkOptions, type Device, FileFormatError } from '@heddle/tensor';
import type { Notes } from './config/notes.ts';
import { describe } from './describe.ts';
import { openModelFolder } from './folder.ts';
import type { HubOptions } from './hub/hub-options.ts';
import type { ModelFiles } from './model-files.ts';
import type { CausalLm } from './models/causal-lm.ts';
import { type WeightDType, weightDTypes } from './models/weight-file.ts';
import { planWeights } from './models/weight-names.ts';
import { Weights } from './models/weights.ts';
import type { Tokenizer, TokenizerResult } from './tokenizer.ts';

/** Options of `loadModel`. */
export interface LoadModelOptions {
  readonly device: Device;
  /**
   * How matrices are stored: by default f32, those of a GGUF file as they are in it, or as near as devices have it, which
   * `notes` says; norms and biases stay f32. In block formats (q8_0, q4_0, mxfp4, q4_k, q5_k, q6_k) they are
   * quantised as they are read, except for those whose rows are no whole blocks, which are stored in f16.
   */
  readonly dtype?: WeightDType;
  /**
   * What products and attention read, and the cache holds; sums, norms and the residual stream stay f32. Default f16 with
   * weights of f16, otherwise f32. With weights in blocks f16 is faster on GPUs, f32 on ONNX Runtime.
   */
  readonly activations?: 'f32' | 'f16';
  /** Whether the weights may be updated. Weights that may not are faster on ONNX Runtime. Default false. */
  readonly trainable?: boolean;
  /** Default `flash()`. */
  readonly attention?: AttentionKernel;
  /** How a model of a hub is fetched: endpoint, token, cache folder, progress. By default as the environment says. */
  readonly hub?: HubOptions;
  /** Called after each tensor. */
  readonly onProgress?: (progress: { readonly loadedBytes: number; readonly totalBytes: number }) => void;
}

/** A model with the tokenizer that came with it. */
export interface LoadedModel extends CausalLm, AsyncDisposable {
  /** Undefined where it came without one: `requireTokenizer` says why. */
  readonly tokenizer: Tokenizer | undefined;
  /** What there is to say of its files, one line each: what was settled, left out, stored in another way. */
  readonly notes: readonly string[];
  /** Those of the notes on what gives other results than the files ask for. */
  readonly deviations: readonly string[];
  /** The tokenizer. @throws FileFormatError `ERR_TOKENIZER` saying why there is none */
  requireTokenizer(): Tokenizer;
}

/**
 * Loads a language model from a Hugging Face folder, from a GGUF file, from a hub (`owner/name`, `owner/name@revision`, or
 * `owner/name:file.gguf`, fetched into the cache by `pullModel`), or from the files of one: weights go to the device one tensor at
 * a time. A folder on disk goes before a model of a hub. Owned by the caller.
 * @throws FileFormatError for files that are missing, damaged or of an unknown architecture, OutOfMemoryError, ArgumentError for
 *   another dtype, HubError, and for weights in blocks that are to be trained; then nothing is left on the device
 */
export async function loadModel(source: string | ModelFiles, options: LoadModelOptions): Promise<LoadedModel> {
  checkOptions('loadModel', options, ['device', 'dtype', 'activations', 'trainable', 'attention', 'hub', 'onProgress']);
  if (typeof (options.device as Partial<Device> | undefined)?.variable !== 'function')
    throw new ArgumentError(`loadModel: needs a device, as openDevice() gives one, got ${describe(options.device)}`);
  const { device, dtype, trainable = false, attention = flash(), onProgress } = options;
  const { activations = dtype === 'f16' ? 'f16' : 'f32' } = options;
  if (dtype !== undefined && !weightDTypes.includes(dtype))
    throw new ArgumentError(`loadModel: dtype takes ${weightDTypes.join(', ')}, got ${String(dtype)}`);
  if (activations !== 'f32' && activations !== 'f16')
    throw new ArgumentError(`loadModel: activations takes f32, f16, got ${String(activations)}`);
  if (trainable && dtype !== undefined && dtype !== 'f32' && dtype !== 'f16')
    throw new ArgumentError(`loadModel: weights that are trained are f32 or f16, got ${dtype}`);
  const folder = await openModelFolder(source, options.hub);
  try {
    const { model, notes, tokenizer } = folder;
    const plan = await planWeights(model, folder.weights, notes);
    const weights = await Weights.load(device, folder.weights, plan, {
      // weights that are trained are floats, also those of a file that has blocks
      dtype: dtype ?? (trainable ? 'f32' : undefined),
      frozen: !trainable,
      onConverted: conversions(notes, folder.weights.label),
      ...(onProgress && { onProgress }),
    });
    try {
      return loaded(model.create(device, weights, { attention, activations }), tokenizer, notes);
    } catch (error) {
      weights.dispose();
      throw error;
    }
  } finally {
    await folder.close();
  }
}

/** Says once for each kind how tensors of a file are stored that could not stay as they are. */
function conversions(notes: Notes, label: string): (name: string, note: string) => void {
  const said = new Set<string>();
  return (name, note) => {
    if (said.has(note)) return;
    said.add(note);
    notes.deviate(`${label}: ${note} (first ${name})`);
  };
}

function loaded(model: CausalLm, { tokenizer, reason }: TokenizerResult, notes: Notes): LoadedModel {
  return Object.assign(model, {
    tokenizer,
    notes: notes.all,
    deviations: notes.deviations,
    requireTokenizer: () => {
      if (tokenizer) return tokenizer;
      throw new FileFormatError(`tokenizer: ${reason}`, { code: 'ERR_TOKENIZER' });
    },
    [Symbol.asyncDispose]: () => model.dispose(),
  });
}
