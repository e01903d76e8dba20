import { FileFormatError } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { Notes } from '../config/notes.ts';
import { describeModel } from '../families.ts';
import type { GgufFamily } from '../gguf/families/gguf-family.ts';
import { ggufFamilies, ggufNamesOf } from '../gguf/gguf-families.ts';
import { ggufWeightNames } from '../gguf/gguf-names.ts';
import { openGgufParts } from '../gguf/gguf-parts.ts';
import type { HubOptions } from '../hub/hub-options.ts';
import { locateModel } from '../hub/locate-model.ts';
import { fileLabel, modelFolder, readTextFile } from '../model-files.ts';
import { Fp4Tensors } from '../models/fp4-safetensors.ts';
import { safetensorsWeights } from '../models/safetensors-weights.ts';
import { planWeights } from '../models/weight-names.ts';
import { type FileTensor, fileTensors } from './file-tensors.ts';
import { type GgufOutput, ggufEntry } from './gguf-bytes.ts';
import { modelFields } from './model-fields.ts';
import { checkSaid } from './said-model.ts';
import { ggufTensor } from './source-tensor.ts';
import { tokenizerFields } from './tokenizer-fields.ts';
import { weightRows } from './weight-rows.ts';

/** A tensor that is to be stored in another type. */
interface QuantizedTensor extends FileTensor {
  /** Whether it gives the logits: the head, or an embedding that is. */
  readonly isHead: boolean;
}

/** A model that is to be quantised into a GGUF file. */
export interface QuantizeSource {
  readonly label: string;
  /** Keys with their values, all but those of the file's type. */
  readonly entries: readonly Uint8Array[];
  readonly tensors: readonly QuantizedTensor[];
  /** Tensors that stay as they are made. */
  readonly fixed: readonly GgufOutput[];
  /** What could not be said in the file. */
  readonly notes: Notes;
  close(): Promise<void>;
}

/** @throws FileFormatError, HubError, ArgumentError as `loadModel`, and for what a GGUF file cannot hold */
export async function openQuantizeSource(source: string, hub: HubOptions): Promise<QuantizeSource> {
  const { path, label } = await locateModel('quantize', source, 'model', hub);
  return /\.gguf$/i.test(path) ? openFile(path, label) : openFolder(path, label);
}

const replaced = /^(?:general\.(?:file_type|quantization_version|alignment)|split\..*)$/;

/** Of a GGUF file everything stays but the types of its tensors. */
async function openFile(path: string, label: string): Promise<QuantizeSource> {
  const file = await openGgufParts(path, label);
  try {
    const parts = file.metadata.get('split.count');
    if (typeof parts === 'number' && parts > 1)
      throw new FileFormatError(`quantize: ${label}: is one of ${parts} parts: join them first`, {
        code: 'ERR_WEIGHTS',
      });
    const entries: Uint8Array[] = [];
    for (const [key, { offset, length }] of file.entries)
      if (!replaced.test(key)) entries.push(await file.bytes(offset, length));
    const head = file.tensors.has('output.weight') ? 'output.weight' : 'token_embd.weight';
    const tensors = [...file.tensors.keys()].map((name) => ({ ...ggufTensor(file, name), isHead: name === head }));
    return { label, entries, tensors, fixed: [], notes: new Notes(), close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }
}

async function openFolder(path: string, label: string): Promise<QuantizeSource> {
  const files = await modelFolder(path, label);
  const text = await readTextFile(files, 'config.json');
  if (text === undefined)
    throw new FileFormatError(`quantize: ${label} has no config.json`, { code: 'ERR_FILE_NOT_FOUND' });
  const notes = new Notes();
  const model = describeModel({ label: fileLabel(files, 'config.json'), text }, { notes });
  const architecture = ggufNamesOf[model.config.architecture];
  if (architecture === undefined)
    throw new FileFormatError(
      `quantize: ${label}: GGUF files have no name for the architecture ${model.config.architecture}; write a folder`,
      { code: 'ERR_UNKNOWN_ARCHITECTURE' },
    );
  const file = await openSafetensors(path);
  try {
    const plan = await planWeights(model, safetensorsWeights(file, label), notes);
    const { config } = model;
    const family = familyOf(architecture, model);
    const own = modelFields(label, architecture, config, family);
    const tied = !plan.some(({ name }) => name === model.head);
    const names = ggufWeightNames(family, config.layout);
    const fp4 = new Fp4Tensors(file, label);
    const tensors = plan.flatMap((weight): readonly QuantizedTensor[] => {
      const how = names.get(weight.name);
      if (!how)
        throw new FileFormatError(`quantize: ${label}: ${weight.name} has no name in a GGUF file`, {
          code: 'ERR_WEIGHTS',
        });
      const isHead = weight.name === (tied ? model.embedding : model.head);
      return fileTensors(weightRows(file, fp4, weight), how).map((tensor) => ({ ...tensor, isHead }));
    });
    const outputs = tensors.map(({ name, shape }) => ({ name, shape, type: 'F32' as const, pieces: nothing }));
    await checkSaid(label, architecture, config, { fields: own.fields, tensors: [...own.tensors, ...outputs] });
    const fields = {
      'general.architecture': ['string', architecture],
      ...own.fields,
      ...(await tokenizerOf()),
    } as const;
    const entries = Object.entries(fields).map(([key, field]) => ggufEntry(key, field));
    return { label, entries, tensors, fixed: own.tensors, notes, close: () => file.close() };
  } catch (error) {
    await file.close();
    throw error;
  }

  async function tokenizerOf() {
    const tokenizer = await readTextFile(files, 'tokenizer.json');
    if (tokenizer === undefined) return {};
    const settings = JSON.parse((await readTextFile(files, 'tokenizer_config.json')) ?? '{}') as Record<
      string,
      unknown
    >;
    const template = (await readTextFile(files, 'chat_template.jinja')) ?? settings['chat_template'];
    const { fields, reason } = tokenizerFields(tokenizer, {
      vocabularySize: model.config.vocabularySize,
      chatTemplate: typeof template === 'string' ? template : undefined,
    });
    if (reason !== undefined) notes.deviate(`the tokenizer of ${label} is not in the file: ${reason}`);
    return fields ?? {};
  }
}

/** A family of an architecture that several share: the one that has the model's own name. */
function familyOf(architecture: string, { config }: ReturnType<typeof describeModel>): GgufFamily {
  const { layers } = config.layout;
  const keys = new Set([
    ...(layers.some(({ feedForward }) => feedForward.part.kind === 'experts') ? ['expert_count'] : []),
    ...(layers.some(({ mixer: { part } }) => part.kind === 'attention' && part.window !== undefined)
      ? ['attention.sliding_window']
      : []),
  ]);
  return ggufFamilies[architecture]!((key) => keys.has(key));
}

async function* nothing(): AsyncGenerator<Uint8Array, void, undefined> {}
