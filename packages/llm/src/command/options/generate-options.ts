import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import type { SamplerOptions } from '../../sampling/options.ts';
import type { BeamOptions } from '../../text/beam-text.ts';
import { flag, number, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { samplingFlags, samplingOptions } from './sampling-options.ts';
import { UsageError } from './usage.ts';

export interface GenerateCommand {
  readonly model: string;
  /** The folder of an adapter that the model generates with. */
  readonly adapter: string | undefined;
  readonly prompt: string | undefined;
  readonly promptTokens: readonly number[] | undefined;
  readonly maxTokens: number | undefined;
  readonly ignoreEos: boolean;
  /** How tokens are chosen, as far as it is said. */
  readonly sampling: SamplerOptions;
  /** The search for the most likely text, in place of drawing. */
  readonly search: (BeamOptions & { readonly beams: number }) | undefined;
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  readonly json: boolean;
  /** Say all there is to say of the model's files, not only what changes results. */
  readonly verbose: boolean;
}

/** @throws UsageError naming the option, what it takes and what came */
export function parseGenerate(args: readonly string[]): GenerateCommand {
  const values = parse(args, {
    model: text,
    adapter: text,
    prompt: text,
    'prompt-tokens': text,
    'max-tokens': text,
    'ignore-eos': flag,
    ...samplingFlags,
    beams: text,
    'length-penalty': text,
    'early-stopping': text,
    device: text,
    dtype: text,
    json: flag,
    verbose: flag,
  });
  const { model, prompt } = values;
  const promptTokens = values['prompt-tokens'];
  if (!model)
    throw new UsageError('generate needs --model MODEL: a Hugging Face folder, a GGUF file, or owner/name of a hub');
  if (prompt !== undefined && promptTokens !== undefined)
    throw new UsageError('--prompt and --prompt-tokens exclude each other');
  return {
    model,
    adapter: values.adapter,
    prompt,
    promptTokens: promptTokens === undefined ? undefined : tokenList(promptTokens),
    maxTokens: wholeNumber('--max-tokens', values['max-tokens'], 1),
    ignoreEos: values['ignore-eos'] ?? false,
    sampling: samplingOptions(values),
    search: searchOf(values),
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    json: values.json ?? false,
    verbose: values.verbose ?? false,
  };
}

interface SearchValues {
  readonly beams?: string;
  readonly 'length-penalty'?: string;
  readonly 'early-stopping'?: string;
}

function searchOf(values: SearchValues & { readonly [name: string]: unknown }): GenerateCommand['search'] {
  const beams = wholeNumber('--beams', values.beams, 1);
  const lengthPenalty = number('--length-penalty', values['length-penalty'], -100, 100);
  const when = oneOf('--early-stopping', values['early-stopping'], ['true', 'false', 'never'] as const);
  if (beams === undefined) {
    if (lengthPenalty === undefined && when === undefined) return undefined;
    throw new UsageError('--length-penalty and --early-stopping are of a search: they need --beams N');
  }
  const drawn = Object.keys(samplingFlags).find((name) => values[name] !== undefined);
  if (drawn) throw new UsageError(`--beams and --${drawn} exclude each other: a search does not draw`);
  return {
    beams,
    ...(lengthPenalty !== undefined && { lengthPenalty }),
    ...(when && { earlyStopping: when === 'never' ? when : when === 'true' }),
  };
}

export function parseDevices(args: readonly string[]): { readonly json: boolean; readonly verbose: boolean } {
  const { json = false, verbose = false } = parse(args, { json: flag, verbose: flag });
  return { json, verbose };
}

function tokenList(value: string): number[] {
  const parts = value.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d+$/.test(part) && Number.isSafeInteger(Number(part))))
    throw new UsageError(`--prompt-tokens takes token ids separated by commas, got '${value}'`);
  return parts.map(Number);
}
