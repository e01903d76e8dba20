import { ArgumentError, checkArguments } from '@heddle/tensor';
import type { LogitFilter } from './filters.ts';
import { needed } from './repetition.ts';

/**
 * Adds to the logits of tokens.
 *
 * @param biases by token id; -Infinity takes a token out
 * @throws ArgumentError for a bias that is NaN or +Infinity
 */
export function logitBias(biases: ReadonlyMap<number, number>): LogitFilter {
  if (!(biases instanceof Map)) throw new ArgumentError('logitBias: takes a Map from token ids to biases');
  for (const [id, bias] of biases)
    if (!(bias < Number.POSITIVE_INFINITY))
      throw new ArgumentError(
        `logitBias: the bias of a token must be a number or -Infinity, got ${bias} for token ${id}`,
      );
  return {
    name: `bias of ${biases.size} tokens`,
    apply(logits) {
      for (const [id, bias] of biases) if (id < logits.length) logits[id]! += bias;
    },
  };
}

/**
 * Takes out the token with which the sequence would end in one of these words.
 *
 * @param words lists of token ids, each of one at least
 */
export function badWords(words: readonly (readonly number[])[]): LogitFilter {
  checkArguments('badWords', 'list', { words });
  checkArguments('badWords', 'list', Object.fromEntries(words.map((word, i) => [`words[${i}]`, word])));
  for (const word of words) checkArguments('badWords', 'whole', { ...word });
  const name = `${words.length} bad words`;
  return {
    name,
    apply(logits, given) {
      for (const word of words) {
        const before = word.length - 1;
        const tokens = before === 0 ? [] : needed(name, given);
        let same = tokens.length >= before;
        for (let i = 0; same && i < before; i++) same = tokens[tokens.length - before + i] === word[i];
        if (same && word[before]! < logits.length) logits[word[before]!] = Number.NEGATIVE_INFINITY;
      }
    },
  };
}

/**
 * Takes out the tokens whose bit is not set.
 *
 * @param mask bit `id % 32` of word `id / 32` for each token; tokens beyond its end are taken out
 */
export function allowedTokens(mask: Uint32Array): LogitFilter {
  if (!(mask instanceof Uint32Array))
    throw new ArgumentError(`allowedTokens: takes a Uint32Array with a bit for each token, got ${typeof mask}`);
  return {
    name: 'allowed tokens',
    apply(logits) {
      for (let id = 0; id < logits.length; id++)
        if ((((mask[id >>> 5] ?? 0) >>> (id & 31)) & 1) === 0) logits[id] = Number.NEGATIVE_INFINITY;
    },
  };
}
