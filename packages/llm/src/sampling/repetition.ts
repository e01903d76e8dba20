import { ArgumentError } from '@heddle/tensor';
import type { LogitFilter } from './filters.ts';

/**
 * Divides positive logits of tokens that have occurred, in the prompt or after it, and multiplies negative ones
 * (https://arxiv.org/abs/1909.05858).
 *
 * @param penalty Positive: above 1 makes repetition less likely, below 1 more.
 * @throws ArgumentError
 */
export function repetitionPenalty(penalty: number): LogitFilter {
  if (!(penalty > 0 && Number.isFinite(penalty)))
    throw new ArgumentError(`repetitionPenalty: repetitionPenalty must be a positive number, got ${String(penalty)}`);
  const name = `repetition penalty ${penalty}`;
  return {
    name,
    apply(logits, tokens) {
      for (const id of new Set(needed(name, tokens))) {
        const logit = logits[id];
        if (logit !== undefined) logits[id] = logit < 0 ? logit * penalty : logit / penalty;
      }
    },
  };
}

/**
 * Takes out every token with which the last `size` tokens would be a sequence that has occurred before; where that is every
 * token, none.
 *
 * @param size Positive integer; 1 takes out whatever has occurred.
 * @throws ArgumentError
 */
export function noRepeatNgram(size: number): LogitFilter {
  if (!(Number.isSafeInteger(size) && size > 0))
    throw new ArgumentError(
      `noRepeatNgram: the size of n-grams (noRepeatNgramSize) must be a positive integer, got ${String(size)}`,
    );
  const name = `no repeated ${size}-gram`;
  return {
    name,
    apply(logits, given) {
      const tokens = needed(name, given);
      const begin = tokens.length - (size - 1);
      const taken = new Set<number>();
      for (let i = 0; i + size <= tokens.length; i++) {
        let same = true;
        for (let j = 0; same && j < size - 1; j++) same = tokens[i + j] === tokens[begin + j];
        if (same) taken.add(tokens[i + size - 1]!);
      }
      const left = logits.some((logit, id) => logit > Number.NEGATIVE_INFINITY && !taken.has(id));
      if (left) for (const id of taken) if (id < logits.length) logits[id] = Number.NEGATIVE_INFINITY;
    },
  };
}

/**
 * Lowers the logits of tokens that were generated: once by `presence`, and by `frequency` for each time. Those of the prompt
 * do not count.
 *
 * @param presence Finite; negative ones make repetition likelier.
 * @param frequency The same.
 * @throws ArgumentError
 */
export function occurrencePenalty(presence: number, frequency: number): LogitFilter {
  for (const [name, value] of Object.entries({ presence, frequency }))
    if (!Number.isFinite(value))
      throw new ArgumentError(`occurrencePenalty: ${name}Penalty must be a number, got ${String(value)}`);
  const name = `presence penalty ${presence}, frequency penalty ${frequency}`;
  return {
    name,
    apply(logits, given, generated = given?.length ?? 0) {
      const tokens = needed(name, given);
      const counts = new Map<number, number>();
      for (let i = tokens.length - generated; i < tokens.length; i++)
        counts.set(tokens[i]!, (counts.get(tokens[i]!) ?? 0) + 1);
      for (const [id, count] of counts) if (id < logits.length) logits[id]! -= presence + frequency * count;
    },
  };
}

/** @throws ArgumentError where a filter has not the tokens that it looks at */
export function needed(name: string, tokens: readonly number[] | undefined): readonly number[] {
  if (tokens) return tokens;
  throw new ArgumentError(`sampler: ${name} needs the tokens of the sequence so far in the context, got none`);
}
