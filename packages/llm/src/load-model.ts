import { type AttentionKernel, flash } from '@heddle/attention';
import { type Device, FileFormatError } from '@heddle/tensor';
import { openModelFolder } from './folder.ts';
import type { ModelFiles } from './model-files.ts';
import type { CausalLm } from './models/causal-lm.ts';
import { Weights } from './models/weights.ts';
import type { Tokenizer, TokenizerResult } from './tokenizer.ts';

export interface LoadModelOptions {
  readonly device: Device;
  /**
   * How matrices are stored, and what products and attention read: sums, norms, biases and what layers add up stay f32.
   * Default f32.
   */
  readonly dtype?: 'f32' | 'f16';
  /** Whether the weights may be updated. Weights that may not are faster on ONNX Runtime. Default false. */
  readonly trainable?: boolean;
  /** Default `flash()`. */
  readonly attention?: AttentionKernel;
  /** Called after each tensor. */
  readonly onProgress?: (progress: { readonly loadedBytes: number; readonly totalBytes: number }) => void;
}

/** A model with the tokenizer that came with it. */
export interface LoadedModel extends CausalLm, AsyncDisposable {
  /** Undefined where it came without one: `requireTokenizer` says why. */
  readonly tokenizer: Tokenizer | undefined;
  /** The tokenizer. @throws FileFormatError `ERR_TOKENIZER` saying why there is none */
  requireTokenizer(): Tokenizer;
}

/**
 * Loads a language model from a Hugging Face folder, or from the files of one: weights go to the device one tensor at a
 * time. Owned by the caller.
 * @throws FileFormatError for files that are missing, damaged or of an unknown architecture, OutOfMemoryError; then nothing
 *   is left on the device
 */
export async function loadModel(source: string | ModelFiles, options: LoadModelOptions): Promise<LoadedModel> {
  const { device, dtype = 'f32', trainable = false, attention = flash(), onProgress } = options;
  const folder = await openModelFolder(source);
  try {
    const { weightShapes, create } = folder.model;
    const weights = await Weights.load(device, folder.weights, weightShapes, {
      dtype,
      frozen: !trainable,
      ...(onProgress && { onProgress }),
    });
    try {
      return withTokenizer(create(device, weights, { attention }), folder.tokenizer);
    } catch (error) {
      weights.dispose();
      throw error;
    }
  } finally {
    await folder.close();
  }
}

function withTokenizer(model: CausalLm, { tokenizer, reason }: TokenizerResult): LoadedModel {
  return Object.assign(model, {
    tokenizer,
    requireTokenizer: () => {
      if (tokenizer) return tokenizer;
      throw new FileFormatError(`tokenizer: ${reason}`, { code: 'ERR_TOKENIZER' });
    },
    [Symbol.asyncDispose]: () => model.dispose(),
  });
}
