import type { SequenceView } from './policy.ts';
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
 */
export function optimistic(options: { readonly headroomTokens?: number } = {}): AdmissionRule {
  const { headroomTokens = 32 } = options;
  return { name: 'optimistic', tokens: ({ length }) => length + headroomTokens };
}
