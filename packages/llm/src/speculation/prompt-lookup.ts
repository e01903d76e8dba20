import { ArgumentError, checkOptions } from '@heddle/tensor';
import { NgramIndex } from './ngram-index.ts';
import type { Speculation } from './speculation.ts';

/** Options of `promptLookup`. */
export interface PromptLookupOptions {
  /** Most tokens that are guessed at once. Default 8. */
  readonly maxDrafts?: number;
  /** How many of the last tokens must have occurred before, in this order. Default 3. */
  readonly minMatch?: number;
  /** Of several places that are as long a match the latest is taken; longer matches than this are equal. Default 16. */
  readonly maxMatch?: number;
}

/**
 * Guesses that a text goes on as it did where its last tokens occurred before, in the prompt or after it (prompt lookup decoding,
 * https://github.com/apoorvumang/prompt-lookup-decoding): for summaries, edits, code, and answers that quote. It costs nothing where
 * nothing repeats.
 * @throws ArgumentError
 * @example openEngine(model, { speculation: promptLookup() })
 */
export function promptLookup(options: PromptLookupOptions = {}): Speculation {
  checkOptions('promptLookup', options, ['maxDrafts', 'minMatch', 'maxMatch']);
  const { maxDrafts = 8, minMatch = 3, maxMatch = Math.max(16, minMatch) } = options;
  for (const [name, value, least, most] of [
    ['maxDrafts', maxDrafts, 1, 64],
    ['minMatch', minMatch, 1, 64],
    ['maxMatch', maxMatch, minMatch, 1024],
  ] as const)
    if (!(Number.isInteger(value) && value >= least && value <= most))
      throw new ArgumentError(
        `promptLookup: ${name} must be an integer from ${least} to ${most}, got ${String(value)}`,
      );
  return {
    name: 'prompt lookup',
    maxDrafts,
    instant: true,
    open: () => {
      const indices = new Map<string, NgramIndex>();
      return {
        draft: (wishes) =>
          wishes.map(({ id, tokens, count }) => {
            let index = indices.get(id);
            if (!index) {
              index = new NgramIndex(minMatch, maxMatch);
              indices.set(id, index);
            }
            return index.continuation(tokens, count);
          }),
        end: (id) => void indices.delete(id),
        [Symbol.dispose]: () => indices.clear(),
      };
    },
  };
}
