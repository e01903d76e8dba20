import {
  ArgumentError,
  checkArguments,
  type Device,
  type DeviceName,
  FileFormatError,
  openDevice,
} from '@heddle/tensor';
import { describe } from '../describe.ts';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../load-model.ts';
import { type ModelFiles, modelFiles } from '../model-files.ts';
import { EmbeddingStep } from './embedding-step.ts';
import { type EmbeddingModules, readModules } from './modules.ts';

/** A model that turns texts into vectors. */
export interface EmbeddingModel extends AsyncDisposable {
  readonly model: LoadedModel;
  /** How long its vectors are. */
  readonly dimensions: number;
  /** Texts that it wants before what is embedded, by name. */
  readonly prompts: ReadonlyMap<string, string>;
  /** The longest text, in tokens. */
  readonly maxTokens: number;
  /** What `embed` computes with. @internal */
  readonly modules: EmbeddingModules;
  /** @internal */
  readonly step: EmbeddingStep;
  /** Frees what was opened for it. Idempotent. */
  dispose(): Promise<void>;
}

/** How to open an embedding model. */
export interface OpenEmbeddingModelOptions
  extends Pick<LoadModelOptions, 'dtype' | 'activations' | 'hub' | 'onProgress'> {
  /** A device of one's own, which stays the caller's, or the name of one to open. Default 'auto'. */
  readonly device?: DeviceName | Device;
}

/**
 * Opens a model for `embed`, with the modules that sentence-transformers keeps beside it (`modules.json`): pooling, dense layers,
 * norm. Qwen3-Embedding pools the last token; EmbeddingGemma attends in both directions and pools the mean.
 *
 * Owned by the caller.
 * @param source a folder, the files of a model, or the name of one on a hub
 * @throws FileFormatError where `modules.json` is missing or has a module that is not known; what `loadModel` throws; then nothing
 *   is left open
 * @example
 * const model = await openEmbeddingModel('Qwen/Qwen3-Embedding-0.6B');
 * const [question] = await embed({ model, texts: ['Why is the sky blue?'], prompt: 'query' });
 */
export async function openEmbeddingModel(
  source: string | ModelFiles,
  options: OpenEmbeddingModelOptions = {},
): Promise<EmbeddingModel> {
  checkArguments('openEmbeddingModel', 'object', { options });
  const { device: where = 'auto', hub, ...rest } = options;
  const files = await modelFiles('openEmbeddingModel', source, { purpose: 'embedding', hub });
  const modules = await readModules(files);
  const device = typeof where === 'string' ? await openDevice(where) : where;
  let model: LoadedModel | undefined;
  try {
    model = await loadModel(files, { ...rest, device });
    const loaded = model;
    loaded.requireTokenizer();
    const { hiddenSize, maxPositions } = loaded.config;
    const dimensions = checkedSizes(files.label, modules, hiddenSize);
    const step = new EmbeddingStep(loaded, modules);
    let disposal: Promise<void> | undefined;
    const dispose = () => {
      disposal ??= (async () => {
        step.dispose();
        await loaded.dispose();
        if (typeof where === 'string') await device.dispose();
      })();
      return disposal;
    };
    const maxTokens = Math.min(modules.maxTokens ?? maxPositions, maxPositions);
    const { prompts } = modules;
    return { model, dimensions, prompts, maxTokens, modules, step, dispose, [Symbol.asyncDispose]: dispose };
  } catch (error) {
    await model?.dispose();
    if (typeof where === 'string') await device.dispose();
    throw error;
  }
}

/** The size of the vectors. @throws FileFormatError where one module does not take what the one before gives */
function checkedSizes(label: string, { poolings, dense }: EmbeddingModules, hiddenSize: number): number {
  let size = poolings.length * hiddenSize;
  for (const { inSize, outSize } of dense) {
    if (inSize !== size)
      throw new FileFormatError(`${label}: a dense module must take ${size} values, got in_features ${inSize}`, {
        code: 'ERR_CONFIG',
      });
    size = outSize;
  }
  return size;
}

export function isEmbeddingModel(value: unknown): value is EmbeddingModel {
  return (value as Partial<EmbeddingModel> | null)?.step instanceof EmbeddingStep;
}

/** @throws ArgumentError for what is no embedding model */
export function checkEmbeddingModel(operation: string, value: unknown): void {
  if (isEmbeddingModel(value)) return;
  throw new ArgumentError(`${operation}: needs a model, as openEmbeddingModel() gives one, got ${describe(value)}`);
}
