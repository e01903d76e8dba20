import {
  ArgumentError,
  bf16ToF32,
  checkArguments,
  f16ToF32,
  f32ToBf16,
  f32ToF16,
  type HostArray,
  isFloat,
  type Variable,
} from '@heddle/tensor';
import { type SafetensorsSource, safetensorsChunks } from '@heddle/tensor/safetensors';
import type { Lora } from '@heddle/trainer/lora';
import { describeModel } from '../families.ts';
import { locateModel } from '../hub/locate-model.ts';
import { type ModelFiles, modelFiles, modelFolder, readTextFile } from '../model-files.ts';
import { checkAdapter } from '../models/adapter-sites.ts';
import type { CausalLm } from '../models/causal-lm.ts';
import { type WrittenTensor, writtenTensors } from '../models/written-tensors.ts';
import { openWriter } from './written-folder.ts';

/** Options of `saveModel`. */
export interface SaveModelOptions {
  /** The folder that the model was loaded from, or its files: configuration and tokenizer are those of it. */
  readonly from: string | ModelFiles;
  /** What weights are stored in; 'f32' where not named. */
  readonly dtype?: 'f32' | 'f16' | 'bf16';
  /** Written into the weights: the saved model gives what this one gives with the adapter. */
  readonly adapter?: Lora;
}

/** What is copied of a model's folder where it is there. */
const copied = [
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
];
const named = { f32: ['F32', 'float32'], f16: ['F16', 'float16'], bf16: ['BF16', 'bfloat16'] } as const;

/**
 * Writes a model as a Hugging Face folder, which `loadModel` and transformers load: weights one at a time, each file as a whole
 * or not at all. Weights in blocks cannot be saved: load the model in f32 or f16 to merge an adapter into it.
 * @throws ArgumentError for weights in blocks and another dtype; ShapeError for an adapter of another model; FileFormatError
 *   where files cannot be read or written; then the model that was there before stays
 */
export async function saveModel(
  folder: string,
  model: Pick<CausalLm, 'parameters'>,
  options: SaveModelOptions,
): Promise<void> {
  checkArguments('saveModel', 'text', { folder });
  checkArguments('saveModel', 'object', { model, options });
  checkArguments('saveModel', 'list', { 'model.parameters': model.parameters });
  const { from, dtype = 'f32', adapter } = options;
  if (!Object.hasOwn(named, dtype))
    throw new ArgumentError(`saveModel: dtype takes f32, f16, bf16, got ${String(dtype)}`);
  const blocks = model.parameters.find((weight) => !isFloat(weight.dtype));
  if (blocks)
    throw new ArgumentError(
      `saveModel: '${blocks.name}' is ${blocks.dtype}, which folders do not hold: load the model in f32 or f16`,
    );
  if (adapter) checkAdapter(model, adapter);
  const files = await filesOf(from);
  const config = await readTextFile(files, 'config.json');
  if (config === undefined) throw new ArgumentError(`saveModel: ${files.label} has no config.json to write`);
  const { sources } = describeModel({ label: files.label, text: config });
  const texts = new Map([['config.json', withDType(config, named[dtype][1], model)]]);
  for (const name of copied) {
    const text = await readTextFile(files, name);
    if (text !== undefined) texts.set(name, text);
  }
  const writer = await openWriter('saveModel', folder);
  const byName = new Map(model.parameters.map((weight) => [weight.name, weight]));
  const shapes = new Map(model.parameters.map(({ name, shape }) => [name, shape as readonly number[]]));
  const read = lastRead((name) => floatsOfWeight(byName.get(name)!, adapter));
  const tensors = writtenTensors(shapes, sources).map(
    (tensor) => [tensor.name, sourceOf(tensor, dtype, read)] as const,
  );
  await writer.write('model.safetensors', safetensorsChunks(tensors, { format: 'pt' }));
  for (const [name, text] of texts) await writer.write(name, [new TextEncoder().encode(text)]);
}

type Read = (weight: string) => Promise<Float32Array>;

/** Keeps what was read last: the tensors of one weight are written one after the other. */
function lastRead(read: Read): Read {
  let last: { readonly weight: string; readonly values: Promise<Float32Array> } | undefined;
  return (weight) => {
    if (last?.weight !== weight) last = { weight, values: read(weight) };
    return last.values;
  };
}

/** Those of a folder, of a model of a hub, or what was given. */
async function filesOf(from: string | ModelFiles): Promise<ModelFiles> {
  if (typeof from !== 'string') return modelFiles('saveModel', from);
  const { path, label } = await locateModel('saveModel', from, 'model', {});
  return modelFolder(path, label);
}

function sourceOf(
  { shape, weights, from }: WrittenTensor,
  dtype: 'f32' | 'f16' | 'bf16',
  readWeight: Read,
): SafetensorsSource {
  return {
    dtype: named[dtype][0],
    shape,
    async read() {
      const all: Float32Array[] = [];
      for (const weight of weights) all.push(await readWeight(weight));
      const values = from(all);
      if (dtype === 'f32') return values;
      return dtype === 'f16' ? f32ToF16(values) : f32ToBf16(values);
    },
  };
}

async function floatsOfWeight(weight: Variable, adapter: Lora | undefined): Promise<Float32Array> {
  const merged = adapter ? adapter.merged(weight.name, weight) : weight;
  try {
    return floatsOf(merged.dtype, await merged.data());
  } finally {
    if (merged !== weight) merged.dispose();
  }
}

function floatsOf(dtype: string, data: HostArray): Float32Array {
  if (dtype === 'f32') return data as Float32Array;
  return dtype === 'f16' ? f16ToF32(data as Uint16Array) : bf16ToF32(data as Uint16Array);
}

/** The configuration with what the weights are now: their dtype, and whether the head is the embedding. */
function withDType(text: string, dtype: string, { parameters }: Pick<CausalLm, 'parameters'>): string {
  const config = JSON.parse(text) as Record<string, unknown>;
  const key = 'dtype' in config ? 'dtype' : 'torch_dtype';
  const hasHead = parameters.some(({ name }) => name === 'lm_head.weight');
  return `${JSON.stringify({ ...config, [key]: dtype, ...(hasHead && { tie_word_embeddings: false }) }, null, 2)}\n`;
}
