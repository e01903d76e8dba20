import { blockSizes, FileFormatError, isBlockFormat } from '@heddle/tensor';
import {
  type FileInput,
  openSafetensors,
  openSource,
  type SafetensorsFile,
  type SafetensorsSource,
  safetensorsChunks,
} from '@heddle/tensor/safetensors';
import { Notes } from '../config/notes.ts';
import { describeModel, type ModelDescription } from '../families.ts';
import type { HubOptions } from '../hub/hub-options.ts';
import { locateModel } from '../hub/locate-model.ts';
import { fileLabel, type ModelFiles, modelFolder, readTextFile } from '../model-files.ts';
import { blocksKey } from '../models/block-tensors.ts';
import { Fp4Tensors } from '../models/fp4-safetensors.ts';
import { safetensorsWeights } from '../models/safetensors-weights.ts';
import { type PlannedWeight, planWeights } from '../models/weight-names.ts';
import { openWriter } from '../training/written-folder.ts';
import type { QuantizedModel } from './quantize-model.ts';
import { rowsOf, type SourceTensor } from './source-tensor.ts';
import { type QuantizedDType, storedPieces, storedType } from './stored-type.ts';
import { tensorRows } from './weight-rows.ts';

/** Files that go along with the weights, where they are there. */
const others = [
  'config.json',
  'generation_config.json',
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'chat_template.jinja',
  'modules.json',
];

/**
 * Writes a folder as one of the same files with its matrices quantised. A matrix in blocks is U8 `[..., bytes of a row]`, and
 * `block_formats` in the file's metadata has its format by its name; MXFP4 tensors of gpt-oss stay as they are. Matrices of which
 * rows are columns of the weight stay floats. One quantised tensor is in memory at a time.
 * @throws FileFormatError, HubError
 */
export async function quantizeFolder(
  source: string,
  target: string,
  options: {
    readonly dtype: QuantizedDType;
    readonly hub: HubOptions;
    readonly onBytes: (bytes: number, tensors: number) => void;
  },
): Promise<QuantizedModel> {
  const { path, label } = await locateModel('quantize', source, 'model', options.hub);
  if (/\.gguf$/i.test(path))
    throw new FileFormatError(`quantize: ${label}: a GGUF file becomes a GGUF file; name a target that ends in .gguf`, {
      code: 'ERR_CONFIG',
    });
  const files = await modelFolder(path, label);
  const text = await readTextFile(files, 'config.json');
  if (text === undefined)
    throw new FileFormatError(`quantize: ${label} has no config.json`, { code: 'ERR_FILE_NOT_FOUND' });
  const notes = new Notes();
  const model = describeModel({ label: fileLabel(files, 'config.json'), text }, { notes });
  const file = await openSafetensors(path);
  try {
    const plan = await planWeights(model, safetensorsWeights(file, label), notes);
    const tensors = writtenTensors(file, label, model, plan, options.dtype, notes);
    const formats = tensors.flatMap(([name, { format }]) => (format === undefined ? [] : [[name, format] as const]));
    const metadata = {
      format: 'pt',
      ...(formats.length > 0 && { [blocksKey]: JSON.stringify(Object.fromEntries(formats)) }),
    };
    const writer = await openWriter('quantizeModel', target);
    let byteLength = 0;
    const counted = async function* () {
      for await (const piece of safetensorsChunks(tensors, metadata)) {
        yield piece;
        byteLength += piece.byteLength;
        options.onBytes(byteLength, tensors.length);
      }
    };
    await writer.write('model.safetensors', counted());
    for (const name of others) {
      const bytes = await fileBytes(files, name);
      if (bytes) await writer.write(name, [bytes]);
    }
    return { path: target, byteLength, notes: notes.all };
  } finally {
    await file.close();
  }
}

interface Written extends SafetensorsSource {
  readonly format?: string;
}

function writtenTensors(
  file: SafetensorsFile,
  label: string,
  model: ModelDescription,
  plan: readonly PlannedWeight[],
  dtype: QuantizedDType,
  notes: Notes,
): readonly (readonly [string, Written])[] {
  const fp4 = new Fp4Tensors(file, label);
  const tied = !plan.some(({ name }) => name === model.head);
  const routers = new Set(
    model.config.layout.layers.flatMap(({ feedForward: { part } }) =>
      part.kind === 'experts'
        ? [part.router, ...(part.shared?.gate ? [part.shared.gate] : [])].map(({ site }) => `${site}.weight`)
        : [],
    ),
  );
  const written = new Map<string, Written>();
  const add = (weight: PlannedWeight, stored: string) => {
    if (written.has(stored)) return;
    if (fp4.has(stored)) {
      for (const name of [`${stored}_blocks`, `${stored}_scales`]) {
        const { dtype: own, shape } = file.info(name);
        written.set(name, { dtype: own, shape, read: () => file.read(name) });
      }
      return;
    }
    const tensor = tensorRows(file, stored);
    const kind = weight.source?.kind;
    const isConvolution = tensor.shape.length === 3 && kind === undefined;
    const isHead = weight.name === (tied ? model.embedding : model.head);
    const isExact = isConvolution || routers.has(weight.name) || weight.name.endsWith('.bias');
    const type = storedType(tensor.shape, dtype, isHead, isExact);
    const isTurned = kind === 'columns' || kind === 'transposed';
    if (!isTurned || !isBlockFormat(type)) {
      written.set(stored, quantized(tensor, type));
      return;
    }
    notes.add(`${stored} is stored in f16: its columns are rows of the weight`);
    written.set(stored, quantized(tensor, 'f16'));
  };
  for (const weight of plan) for (const stored of weight.stored) add(weight, stored);
  return [...written];
}

function quantized(tensor: SourceTensor, type: QuantizedDType): Written {
  const read = async () => {
    const pieces: Uint8Array[] = [];
    for await (const piece of storedPieces(tensor, type)) pieces.push(piece);
    const all = new Uint8Array(pieces.reduce((sum, { byteLength }) => sum + byteLength, 0));
    let at = 0;
    for (const piece of pieces) {
      all.set(piece, at);
      at += piece.byteLength;
    }
    return all;
  };
  const { shape } = tensor;
  if (type === 'f32' || type === 'f16') return { dtype: type === 'f32' ? 'F32' : 'F16', shape, read };
  const { values, bytes } = blockSizes[type];
  return { dtype: 'U8', shape: [...shape.slice(0, -1), (rowsOf(shape).length / values) * bytes], read, format: type };
}

async function fileBytes(files: ModelFiles, name: string): Promise<Uint8Array | undefined> {
  const input: FileInput | undefined = await files.open(name);
  if (input === undefined) return undefined;
  const source = await openSource(input);
  try {
    return await source.read(0, source.byteLength);
  } finally {
    await source.close();
  }
}
