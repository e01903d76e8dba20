import { ArgumentError, type SymbolValues } from '@heddle/tensor';
import type { Sampler } from '../../sampler.ts';

/** What an engine is to be prepared for. */
export interface PrepareOptions {
  /** How long the prompts will be. */
  readonly promptTokens: number | readonly number[];
  /** How many sequences run together at most. Default 1. */
  readonly sequences?: number;
  /** How long sequences become at most, prompt and generated. Default 256 tokens more than the longest prompt. */
  readonly sequenceTokens?: number;
  /** How their tokens are chosen. Default the engine's sampler. */
  readonly sampler?: Sampler;
}

/** What an engine has room for, and how its cache names sizes. */
export interface PrepareLimits {
  readonly maxBatchTokens: number;
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  /** The bounds of the cache's symbols. */
  readonly symbols: SymbolValues;
  /** Most drafts of a sequence in a step. */
  readonly maxDrafts?: number;
}

/**
 * Sizes that stand for every plan that such steps meet: prompts alone, chunk by chunk; sequences that decode together, any number
 * of them and ever longer; and, where there are several, full steps of prompts beside sequences that decode.
 * @throws ArgumentError
 */
export function sizesOf(options: Omit<PrepareOptions, 'sampler'>, limits: PrepareLimits): SymbolValues[] {
  const { maxBatchTokens, maxSequences, maxSequenceTokens, symbols, maxDrafts = 0 } = limits;
  const asked = [options.promptTokens].flat();
  const longest = Math.max(...asked);
  const { sequences = 1, sequenceTokens = longest + 256 } = options;
  for (const [name, count] of Object.entries({ sequences, sequenceTokens, promptTokens: Math.min(longest, ...asked) }))
    if (!(Number.isInteger(count) && count > 0))
      throw new ArgumentError(`prepare: ${name} must be a positive integer, got ${count}`);
  const most = Math.min(sequenceTokens, maxSequenceTokens);
  const blockSize = Math.ceil(maxSequenceTokens / (symbols['N'] ?? 1));
  const found = new Map<string, SymbolValues>();
  const add = (T: number, R: number, B: number, S: number) => {
    const sizes = { T, R, B, S, ...(symbols['N'] !== undefined && { N: Math.max(1, Math.ceil(S / blockSize)) }) };
    found.set(Object.values(sizes).map(bucket).join(), sizes);
  };
  const prompts = asked.map((length) => Math.min(length, most));
  const batches = upTo(Math.min(sequences, maxSequences, maxBatchTokens));
  const lengths = upTo(most).filter((length) => length >= Math.min(...prompts));
  for (const length of prompts)
    for (let start = 0; start < length; start += maxBatchTokens)
      add(Math.min(maxBatchTokens, length - start), 1, 1, Math.max(1, start));
  for (const B of batches) for (const S of lengths) add(B, B, B, S);
  // drafts of one sequence, of some, of all
  const guessed = maxDrafts > 0 ? upTo(Math.min(maxBatchTokens, batches.at(-1)! * (1 + maxDrafts))) : [];
  for (const B of batches)
    for (const T of guessed.filter((rows) => rows > B && rows <= B * (1 + maxDrafts)))
      for (const S of lengths) add(T, T, B, S);
  // prompts beside sequences that decode: full steps, and the rest of the last prompt
  for (const B of batches.slice(1)) {
    for (const R of [Math.ceil(B / 2), B]) for (const S of [1, ...lengths]) add(maxBatchTokens, R, B, S);
    for (const T of upTo(maxBatchTokens).filter((rows) => rows > B)) for (const S of lengths) add(T, B, B, S);
  }
  return [...found.values()];
}

/** Plans are made for powers of two. */
const bucket = (size: number): number => Math.ceil(Math.log2(Math.max(1, size)));

/** Powers of two below a bound, and the bound. */
function upTo(bound: number): number[] {
  const sizes: number[] = [];
  for (let size = 1; size < bound; size *= 2) sizes.push(size);
  return [...sizes, bound];
}
