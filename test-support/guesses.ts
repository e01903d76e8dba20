import type { Speculation } from '@heddle/llm';

/**
 * Guesses by what the tokens are known to be: about half of the time all right, otherwise wrong from a random place on.
 * @param truth the generated tokens of a request, as far as they are known
 */
export function guesses(
  truth: (id: string) => readonly number[],
  random: () => number,
  { instant = true, maxDrafts = 3, vocabularySize = 16 } = {},
): Speculation {
  return {
    name: 'guesses of a test',
    maxDrafts,
    instant,
    cost: () => -1, // which always pays
    open: () => ({
      draft(wishes) {
        const all = wishes.map(({ id, tokens, promptTokens, count }) => {
          const done = tokens.length - promptTokens;
          const right = truth(id).slice(done, done + count);
          const wrongFrom = random() < 0.5 ? right.length : Math.floor(random() * right.length);
          if (random() < 0.1) return [];
          return right.map((token, i) => (i === wrongFrom ? (token + 1) % vocabularySize : token));
        });
        return instant ? all : new Promise((resolve) => setTimeout(() => resolve(all)));
      },
      end: () => {},
      [Symbol.dispose]: () => {},
    }),
  };
}
