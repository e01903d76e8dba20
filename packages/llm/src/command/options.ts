import { parseArgs } from 'node:util';
import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../models/weight-file.ts';
import { UsageError } from './usage.ts';

export interface GenerateCommand {
  readonly model: string;
  /** The folder of an adapter that the model generates with. */
  readonly adapter: string | undefined;
  readonly prompt: string | undefined;
  readonly promptTokens: readonly number[] | undefined;
  readonly maxTokens: number | undefined;
  readonly ignoreEos: boolean;
  readonly temperature: number | undefined;
  readonly topK: number | undefined;
  readonly topP: number | undefined;
  readonly seed: number | undefined;
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  readonly json: boolean;
  /** Say all there is to say of the model's files, not only what changes results. */
  readonly verbose: boolean;
}

export const text = { type: 'string' } as const;
export const flag = { type: 'boolean' } as const;

/** @throws UsageError naming the option, what it takes and what came */
export function parseGenerate(args: readonly string[]): GenerateCommand {
  const values = parse(args, {
    model: text,
    adapter: text,
    prompt: text,
    'prompt-tokens': text,
    'max-tokens': text,
    'ignore-eos': flag,
    temperature: text,
    'top-k': text,
    'top-p': text,
    seed: text,
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
    temperature: number('--temperature', values.temperature, 0),
    topK: wholeNumber('--top-k', values['top-k'], 1),
    topP: number('--top-p', values['top-p'], 0, 1),
    seed: wholeNumber('--seed', values.seed, 0),
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    json: values.json ?? false,
    verbose: values.verbose ?? false,
  };
}

export function parseDevices(args: readonly string[]): { readonly json: boolean; readonly verbose: boolean } {
  const { json = false, verbose = false } = parse(args, { json: flag, verbose: flag });
  return { json, verbose };
}

type Kinds = Readonly<Record<string, typeof text | typeof flag>>;
type Values<K extends Kinds> = { readonly [N in keyof K]?: K[N] extends typeof text ? string : boolean };

export function parse<K extends Kinds>(args: readonly string[], options: K): Values<K> {
  const { values, tokens } = parsed(args, options);
  const names = tokens.flatMap((token) => (token.kind === 'option' ? [token.name] : []));
  const twice = names.find((name, i) => names.indexOf(name) < i);
  if (twice !== undefined) throw new UsageError(`--${twice} is given twice`);
  return values as Values<K>;
}

function parsed<K extends Kinds>(args: readonly string[], options: K) {
  try {
    return parseArgs({ args: [...args], options, strict: true, allowPositionals: false, tokens: true });
  } catch (error) {
    const { message } = error as Error;
    // of a value such as -1 Node says, on three lines, that it may have been meant as an option
    const option = /'(--[\w-]+)(?: <value>)?' argument (?:is ambiguous|missing)/.exec(message)?.[1];
    throw new UsageError(option ? `${option} needs a value (one that begins with '-' as ${option}=VALUE)` : message);
  }
}

function tokenList(value: string): number[] {
  const parts = value.split(',').map((part) => part.trim());
  if (!parts.every((part) => /^\d+$/.test(part) && Number.isSafeInteger(Number(part))))
    throw new UsageError(`--prompt-tokens takes token ids separated by commas, got '${value}'`);
  return parts.map(Number);
}

export function number(
  name: string,
  value: string | undefined,
  min: number,
  max: number = Number.POSITIVE_INFINITY,
): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isFinite(parsed) || parsed < min || parsed > max)
    throw new UsageError(
      `${name} takes a number ${Number.isFinite(max) ? `from ${min} to ${max}` : `of at least ${min}`}, got '${value}'`,
    );
  return parsed;
}

export function wholeNumber(name: string, value: string | undefined, min: number): number | undefined {
  if (value === undefined) return undefined;
  const parsed = Number(value);
  if (value.trim() === '' || !Number.isSafeInteger(parsed) || parsed < min)
    throw new UsageError(`${name} takes a whole number of at least ${min}, got '${value}'`);
  return parsed;
}

export function oneOf<T extends string>(name: string, value: string | undefined, among: readonly T[]): T | undefined {
  if (value === undefined) return undefined;
  const found = among.find((candidate) => candidate === value);
  if (!found) throw new UsageError(`${name} takes ${among.join(', ')}, got '${value}'`);
  return found;
}
