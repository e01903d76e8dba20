import { checkOptions, count, optional, share } from '../checks.ts';
import { QuantileSketch } from '../metrics/quantile-sketch.ts';
import type { SequenceView } from '../policies/policy.ts';
import type { SequenceRequest } from './scheduler.ts';

/** How much room a sequence must find before it starts. A value: pass one of ours or your own. */
export interface AdmissionRule<R extends SequenceRequest = SequenceRequest> {
  readonly name: string;
  /** Tokens of room wanted at admission; the scheduler keeps it between the sequence's length and its end. */
  tokens(sequence: SequenceView<R>): number;
  /** Told of every sequence that reached its end, for rules that learn. */
  finished?(sequence: SequenceView<R>): void;
}

/** Room for the whole stream, so that nothing is ever preempted for want of room; batches are smaller for it. */
export function reserveAll(): AdmissionRule {
  return {
    name: 'reserve-all',
    tokens: ({ request }) => request.promptTokens + request.maxTokens,
  };
}

/**
 * Room for what is known and `headroomTokens` more (default 32), so that a sequence is not preempted right after it
 * came. When the running ones outgrow the capacity, the last is preempted and computed again later.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function optimistic(options: { readonly headroomTokens?: number } = {}): AdmissionRule {
  checkOptions('optimistic', options, { headroomTokens: optional(count(0)) });
  const { headroomTokens = 32 } = options;
  return { name: 'optimistic', tokens: ({ length }) => length + headroomTokens };
}

/** How `estimated` guesses. */
export interface EstimateOptions {
  /** Share of the sequences that should end within their estimate, 0 to 1. Default 0.9. */
  readonly quantile?: number;
  /** Finished requests to learn from before guessing; until then room is reserved for the whole stream. Default 32. */
  readonly minSamples?: number;
}

/** Finished requests after which those before them count half. */
const HALF_LIFE = 1000;

/**
 * Room for what the finished requests of late suggest: the given quantile of their generated tokens, among those that
 * generated more than this one has by now. `expectedTokens` of a request takes the place of the guess until it is passed.
 * Between `reserveAll` and `optimistic`: few preemptions, little room reserved in vain.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function estimated(options: EstimateOptions = {}): AdmissionRule {
  checkOptions<EstimateOptions>('estimated', options, { quantile: optional(share), minSamples: optional(count(0)) });
  const { quantile = 0.9, minSamples = 32 } = options;
  const lengths = new QuantileSketch();
  let sinceFade = 0;
  return {
    name: 'estimated',
    tokens({ request, newTokens }) {
      const { promptTokens, maxTokens, expectedTokens = 0 } = request;
      if (expectedTokens > newTokens) return promptTokens + expectedTokens;
      if (lengths.count < minSamples) return promptTokens + maxTokens;
      const shorter = newTokens === 0 ? 0 : lengths.shareUpTo(newTokens);
      return promptTokens + Math.ceil(lengths.quantile(shorter + (1 - shorter) * quantile));
    },
    finished({ newTokens }) {
      lengths.add(newTokens);
      if (++sinceFade < HALF_LIFE) return;
      lengths.fade(0.5);
      sinceFade = 0;
    },
  };
}
