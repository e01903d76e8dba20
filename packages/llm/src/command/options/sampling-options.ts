import type { SamplerOptions } from '../../sampling/options.ts';
import { number, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

type SamplingFlag =
  | 'temperature'
  | 'top-k'
  | 'top-p'
  | 'min-p'
  | 'typical-p'
  | 'epsilon-cutoff'
  | 'eta-cutoff'
  | 'repetition-penalty'
  | 'presence-penalty'
  | 'frequency-penalty'
  | 'no-repeat-ngram-size'
  | 'logit-bias'
  | 'bad-words'
  | 'seed';

/** The options that say how tokens are chosen. */
export const samplingFlags: Readonly<Record<SamplingFlag, typeof text>> = {
  temperature: text,
  'top-k': text,
  'top-p': text,
  'min-p': text,
  'typical-p': text,
  'epsilon-cutoff': text,
  'eta-cutoff': text,
  'repetition-penalty': text,
  'presence-penalty': text,
  'frequency-penalty': text,
  'no-repeat-ngram-size': text,
  'logit-bias': text,
  'bad-words': text,
  seed: text,
};

type Given = { readonly [N in SamplingFlag]?: string };

/** What they say, without those that are not given. @throws UsageError naming the option, what it takes and what came */
export function samplingOptions(given: Given): SamplerOptions {
  const amount = (name: SamplingFlag, min: number, max?: number) => number(`--${name}`, given[name], min, max);
  const count = (name: SamplingFlag, min: number) => wholeNumber(`--${name}`, given[name], min);
  const options = {
    temperature: amount('temperature', 0),
    topK: count('top-k', 1),
    topP: amount('top-p', 0, 1),
    minP: amount('min-p', 0, 1),
    typicalP: amount('typical-p', Number.MIN_VALUE, 1),
    epsilonCutoff: amount('epsilon-cutoff', 0, 1 - Number.EPSILON),
    etaCutoff: amount('eta-cutoff', 0, 1 - Number.EPSILON),
    repetitionPenalty: amount('repetition-penalty', Number.MIN_VALUE),
    presencePenalty: amount('presence-penalty', Number.NEGATIVE_INFINITY),
    frequencyPenalty: amount('frequency-penalty', Number.NEGATIVE_INFINITY),
    noRepeatNgramSize: count('no-repeat-ngram-size', 0),
    logitBias: biasOf(given['logit-bias']),
    badWords: wordsOf(given['bad-words']),
    seed: count('seed', 0),
  };
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function biasOf(value: string | undefined): Map<number, number> | undefined {
  if (value === undefined) return undefined;
  const entries = value.split(',').map((part): [number, number] => {
    const [, id, bias] = /^\s*(\d+)=(-?(?:\d+(?:\.\d*)?|inf))\s*$/.exec(part) ?? [];
    if (id === undefined || !Number.isSafeInteger(Number(id)))
      throw new UsageError(`--logit-bias takes token ids with what is added, such as 5=-2,7=-inf, got '${value}'`);
    return [Number(id), bias!.endsWith('inf') ? (bias === 'inf' ? Infinity : -Infinity) : Number(bias)];
  });
  return new Map(entries);
}

function wordsOf(value: string | undefined): number[][] | undefined {
  return value?.split(';').map((word) => {
    const ids = word.split(',').map((part) => part.trim());
    if (!ids.every((id) => /^\d+$/.test(id) && Number.isSafeInteger(Number(id))))
      throw new UsageError(`--bad-words takes token ids, those of a word with commas: 7;12,5, got '${value}'`);
    return ids.map(Number);
  });
}
