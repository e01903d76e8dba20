import { ArgumentError, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { allowedTokens, badWords, logitBias } from './biases.ts';
import { epsilonCutoff, etaCutoff, typical } from './cutoffs.ts';
import { type LogitFilter, minP, temperature, topK, topP } from './filters.ts';
import { noRepeatNgram, occurrencePenalty, repetitionPenalty } from './repetition.ts';

/** How to draw; what is absent changes nothing. In the order in which it is applied, which is that of transformers. */
export interface SamplerOptions {
  /** Added to the logits of tokens, by id; -Infinity takes one out. */
  readonly logitBias?: Readonly<Record<number, number>> | ReadonlyMap<number, number>;
  /** Makes tokens that have occurred less likely, in the prompt too; 1 changes nothing. */
  readonly repetitionPenalty?: number;
  /** Taken from the logits of tokens that were generated; 0 changes nothing. */
  readonly presencePenalty?: number;
  /** Taken from the logits of tokens for each time that they were generated; 0 changes nothing. */
  readonly frequencyPenalty?: number;
  /** Let no sequence of so many tokens occur twice; 0 changes nothing, at most 16. */
  readonly noRepeatNgramSize?: number;
  /** Sequences of token ids that are not to be generated: at most 64 of 2 to 8 tokens, any number of single ones. */
  readonly badWords?: readonly (readonly number[])[];
  /** The tokens that may be generated, as a mask: bit `id % 32` of word `id / 32`. */
  readonly allowedTokens?: Uint32Array;
  /** 0 is greedy; 1 if absent. */
  readonly temperature?: number;
  /** Keep so many most likely tokens; 0 keeps all. */
  readonly topK?: number;
  /** Keep the most likely tokens that make up this probability; 1 keeps all. */
  readonly topP?: number;
  /** Keep the tokens at least so likely as this share of the most likely one; 0 keeps all. */
  readonly minP?: number;
  /** Keep the tokens whose surprise is nearest to the expected one, of this probability; 1 keeps all. */
  readonly typicalP?: number;
  /** Take out tokens less likely than this; 0 keeps all. */
  readonly epsilonCutoff?: number;
  /** The same with a threshold that falls where the distribution is flat; 0 keeps all. */
  readonly etaCutoff?: number;
  /** Parameters of stages of one's own, by name; the engine must have been opened with these stages. */
  readonly parameters?: Readonly<Record<string, number>>;
  /** An integer from 0 to 2^53 - 1; drawn from the system's randomness if absent. */
  readonly seed?: number;
}

export const samplerOptionNames = [
  'logitBias',
  'repetitionPenalty',
  'presencePenalty',
  'frequencyPenalty',
  'noRepeatNgramSize',
  'badWords',
  'allowedTokens',
  'temperature',
  'topK',
  'topP',
  'minP',
  'typicalP',
  'epsilonCutoff',
  'etaCutoff',
  'parameters',
  'seed',
] as const;

/** The options whose value is a number per row, with the value that changes nothing. */
export const numericOptions = {
  repetitionPenalty: 1,
  presencePenalty: 0,
  frequencyPenalty: 0,
  noRepeatNgramSize: 0,
  temperature: 1,
  topK: 0,
  topP: 1,
  minP: 0,
  typicalP: 1,
  epsilonCutoff: 0,
  etaCutoff: 0,
} as const;

/** Most words of several tokens that are not to be generated, and most tokens of one. */
export const mostWords = 64;
export const mostWordTokens = 8;

/** The longest sequences that may be kept from occurring twice. */
export const mostNgram = 16;

/** What a device needs to know of a sampler. */
export interface SamplingSettings {
  /** Parameters of stages that differ from what changes nothing. */
  readonly parameters: Readonly<Record<string, number>>;
  /** What is added to logits, by token id. */
  readonly bias: ReadonlyMap<number, number>;
  /** Words of two or more tokens that are not to be generated. */
  readonly words: readonly (readonly number[])[];
  readonly allowed: Uint32Array | undefined;
  readonly seed: number;
}

/** @throws ArgumentError naming an option that is none, or out of range, what it takes and what came */
export function settingsOf(options: SamplerOptions, seed: number): SamplingSettings {
  checkOptions('sampler', options, samplerOptionNames);
  const { temperature } = options;
  if (temperature !== undefined && !(Number.isFinite(temperature) && temperature >= 0))
    throw new ArgumentError(`sampler: temperature must be a number from 0, got ${describe(temperature)}`);
  const parameters: Record<string, number> = {};
  for (const [name, neutral] of Object.entries(numericOptions)) {
    const value = (options as Record<string, number | undefined>)[name];
    if (value !== undefined && value !== neutral) parameters[name] = value;
  }
  if ((options.noRepeatNgramSize ?? 0) > mostNgram)
    throw new ArgumentError(
      `sampler: noRepeatNgramSize must be at most ${mostNgram}, got ${options.noRepeatNgramSize}`,
    );
  for (const [name, value] of Object.entries(options.parameters ?? {})) {
    if (name in numericOptions)
      throw new ArgumentError(`sampler: ${name} is an option of its own, and none of parameters`);
    if (typeof value !== 'number' || Number.isNaN(value))
      throw new ArgumentError(`sampler: parameter ${name} must be a number, got ${String(value)}`);
    parameters[name] = value;
  }
  const bias = biasOf(options.logitBias);
  const words = wordsOf(options.badWords);
  for (const [id] of words.filter((word) => word.length === 1)) bias.set(id!, Number.NEGATIVE_INFINITY);
  const allowed = options.allowedTokens;
  if (allowed !== undefined && !(allowed instanceof Uint32Array))
    throw new ArgumentError(
      `sampler: allowedTokens must be a Uint32Array with a bit for each token (of token i bit i % 32 of word i / 32), got ${describe(allowed)}`,
    );
  const longer = words.filter((word) => word.length > 1);
  // whether a request has these at all is a parameter of their stages, too
  for (const [name, has] of [
    ['biased', bias.size > 0],
    ['worded', longer.length > 0],
    ['masked', allowed !== undefined],
  ] as const)
    if (has) parameters[name] = 1;
  return { parameters, bias, words: longer, allowed, seed };
}

function biasOf(given: SamplerOptions['logitBias']): Map<number, number> {
  if (given === undefined) return new Map();
  if (typeof given !== 'object' || given === null || Array.isArray(given))
    throw new ArgumentError(
      `sampler: logitBias must be a Map or an object of biases by token id, got ${describe(given)}`,
    );
  const entries = given instanceof Map ? [...given] : Object.entries(given).map(([id, bias]) => [Number(id), bias]);
  return new Map(entries.map(([id, bias]) => [tokenId('logitBias', id), bias as number]));
}

function wordsOf(given: SamplerOptions['badWords'] = []): (readonly number[])[] {
  if (!Array.isArray(given) || !given.every((word) => Array.isArray(word) && word.length > 0))
    throw new ArgumentError(
      `sampler: badWords must be lists of token ids, each of one at least, got ${describe(Array.isArray(given) ? given.find((word) => !Array.isArray(word) || word.length === 0) : given)}`,
    );
  for (const word of given) for (const id of word) tokenId('badWords', id);
  const long = given.filter((word) => word.length > 1);
  const most = Math.max(0, ...long.map((word) => word.length));
  if (long.length > mostWords || most > mostWordTokens)
    throw new ArgumentError(
      `sampler: badWords may be ${mostWords} of at most ${mostWordTokens} tokens, beside single tokens, got ${long.length} of at most ${most}`,
    );
  return [...given];
}

function tokenId(option: string, id: unknown): number {
  if (Number.isSafeInteger(id) && (id as number) >= 0) return id as number;
  throw new ArgumentError(`sampler: ${option} takes token ids, got ${String(id)}`);
}

/** What the options do before the draw, on the host, in order: first what holds for the most likely token too. */
export function filtersOf(
  options: SamplerOptions,
  { bias, words, allowed }: SamplingSettings,
): {
  readonly always: readonly LogitFilter[];
  readonly drawing: readonly LogitFilter[];
} {
  const when = <T>(value: T | undefined, neutral: T, make: (value: T) => LogitFilter): LogitFilter[] =>
    value === undefined || value === neutral ? [] : [make(value)];
  const { presencePenalty: presence = 0, frequencyPenalty: frequency = 0 } = options;
  return {
    always: [
      ...(bias.size > 0 ? [logitBias(bias)] : []),
      ...when(options.repetitionPenalty, 1, repetitionPenalty),
      ...(presence !== 0 || frequency !== 0 ? [occurrencePenalty(presence, frequency)] : []),
      ...when(options.noRepeatNgramSize, 0, noRepeatNgram),
      ...(words.length > 0 ? [badWords(words)] : []),
      ...(allowed ? [allowedTokens(allowed)] : []),
    ],
    drawing: [
      ...(options.temperature === 0 ? [] : when(options.temperature, 1, temperature)),
      ...when(options.topK, 0, topK),
      ...when(options.topP, 1, topP),
      ...when(options.minP, 0, minP),
      ...when(options.typicalP, 1, typical),
      ...when(options.epsilonCutoff, 0, epsilonCutoff),
      ...when(options.etaCutoff, 0, etaCutoff),
    ],
  };
}
