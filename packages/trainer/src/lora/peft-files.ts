import { calledAs, checkArguments, checkOptions, type Device, isHeddleError } from '@heddle/tensor';
import {
  type FileInput,
  openSafetensors,
  type SafetensorsFile,
  safetensorsToF32,
  writeSafetensors,
} from '@heddle/tensor/safetensors';
import { TrainingError } from '../errors.ts';
import { type FactorValues, type Lora, loraOf } from './lora.ts';
import { parsePeftConfig, peftConfigText } from './peft-config.ts';

/** The files of an adapter, as PEFT writes them. */
export interface AdapterFiles {
  /** The text of `adapter_config.json`. */
  readonly config: string;
  /** `adapter_model.safetensors`: a path, bytes, or anything that safetensors are opened from. */
  readonly weights: FileInput;
}

const prefix = 'base_model.model.';
const pattern = /^(.*)\.lora_(A|B)(?:\.[^.]+)?\.(weight|bias)$/;

/**
 * An adapter from the files that PEFT writes, with factors in f32.
 * @returns owned by the caller
 * @throws TrainingError `ERR_ADAPTER` for files that are damaged, do not fit each other, or need what this does not compute
 */
export async function readAdapter(device: Device, files: AdapterFiles): Promise<Lora> {
  checkArguments('readAdapter', 'device', { device });
  checkOptions('readAdapter', files, { config: 'text', weights: 'anything' });
  const { config, weights } = files;
  const { options, alphaPattern } = calledAs('readAdapter', () => parsePeftConfig('adapter_config.json', config));
  const file = await openSafetensors(weights).catch((cause: unknown) => {
    if (!isHeddleError(cause)) throw cause;
    throw new TrainingError('ERR_ADAPTER', `readAdapter: adapter_model.safetensors: ${cause.message}`, undefined, {
      cause,
    });
  });
  try {
    const modules = modulesOf(file);
    const values: FactorValues[] = [];
    for (const [module, names] of modules) {
      const special = Object.keys(alphaPattern).find((end) => module === end || module.endsWith(`.${end}`));
      const alpha = special === undefined ? options.alpha! : alphaPattern[special]!;
      values.push(
        await factorValues(file, module, names, (rank) => alpha / (options.rankStabilized ? Math.sqrt(rank) : rank)),
      );
    }
    return await loraOf(device, options, values);
  } finally {
    await file.close();
  }
}

/**
 * The files of an adapter as PEFT reads them.
 * @param baseModel The name or path of the model that the adapter is for.
 */
export async function adapterFiles(
  lora: Lora,
  baseModel?: string,
): Promise<{ readonly 'adapter_config.json': string; readonly 'adapter_model.safetensors': Uint8Array<ArrayBuffer> }> {
  checkArguments('adapterFiles', 'object', { lora });
  checkArguments('adapterFiles', 'object', { 'lora.factors': lora.factors });
  checkArguments('adapterFiles', 'text?', { baseModel });
  const hasBiases = [...lora.factors.values()].some(({ bias }) => bias);
  const tensors: [string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array }][] = [];
  for (const [name, variable] of lora.parameters) {
    const data = (await variable.data()) as Float32Array;
    tensors.push([`${prefix}${name}`, { dtype: 'F32', shape: variable.shape as readonly number[], data }]);
  }
  return {
    'adapter_config.json': peftConfigText(lora.options, [...lora.factors.keys()], baseModel, hasBiases),
    'adapter_model.safetensors': writeSafetensors(tensors, { format: 'pt' }),
  };
}

interface FactorNames {
  a?: string;
  b?: string;
  bias?: string;
}

/** Names of both factors of each module. */
function modulesOf(file: SafetensorsFile): ReadonlyMap<string, FactorNames> {
  const modules = new Map<string, FactorNames>();
  for (const name of [...file.names()].sort()) {
    const match = pattern.exec(name);
    if (!match)
      throw new TrainingError('ERR_ADAPTER', `lora: adapter_model.safetensors has '${name}', which is no factor`);
    const module = match[1]!.startsWith(prefix) ? match[1]!.slice(prefix.length) : match[1]!;
    const names = modules.get(module) ?? {};
    const part = match[2] === 'A' ? 'a' : 'b';
    if (match[3] === 'bias' && part === 'a')
      throw new TrainingError(
        'ERR_ADAPTER',
        `lora: adapter_model.safetensors has '${name}': first factors have no bias`,
      );
    names[match[3] === 'bias' ? 'bias' : part] = name;
    modules.set(module, names);
  }
  if (modules.size === 0) throw new TrainingError('ERR_ADAPTER', 'lora: adapter_model.safetensors has no factors');
  return modules;
}

async function factorValues(
  file: SafetensorsFile,
  module: string,
  { a, b, bias }: Readonly<FactorNames>,
  scaleOf: (rank: number) => number,
): Promise<FactorValues> {
  if (a === undefined || b === undefined)
    throw new TrainingError('ERR_ADAPTER', `lora: '${module}' has one factor, and must have lora_A and lora_B`);
  const [first, second] = [file.info(a), file.info(b)];
  if (first.shape.length !== 2 || second.shape.length !== 2 || first.shape[0] !== second.shape[1])
    throw new TrainingError(
      'ERR_ADAPTER',
      `lora: the factors of '${module}' must be [rank, In] and [Out, rank], got [${first.shape}] and [${second.shape}]`,
    );
  if (bias !== undefined && String(file.info(bias).shape) !== String([second.shape[0]]))
    throw new TrainingError(
      'ERR_ADAPTER',
      `lora: the bias of '${module}' must be [${second.shape[0]}], got [${file.info(bias).shape}]`,
    );
  const read = async (name: string) => {
    const { dtype } = file.info(name);
    try {
      return safetensorsToF32(dtype, await file.read(name));
    } catch (cause) {
      if (!isHeddleError(cause)) throw cause;
      throw new TrainingError('ERR_ADAPTER', `lora: '${name}': ${cause.message}`, undefined, { cause });
    }
  };
  const [rank, inputs] = first.shape as readonly [number, number];
  const added = bias === undefined ? undefined : await read(bias);
  const outputs = second.shape[0]!;
  return { module, scale: scaleOf(rank), a: await read(a), b: await read(b), bias: added, rank, inputs, outputs };
}
