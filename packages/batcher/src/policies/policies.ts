import { aBoolean, checkOptions, optional, positive } from '../checks.ts';
import type { Policy, SequenceView } from './policy.ts';

/** Whoever came first goes first. */
export function firstCome(): Policy {
  return { name: 'first-come', compare: (a, b) => a.order - b.order };
}

/**
 * The higher priority goes first. Each level is worth `ageingMs` of waiting (default 10,000), so that low ones are
 * delayed, not starved; `Infinity` makes priorities strict. With `preemptive`, a waiting request takes the place of a
 * running one that comes after it.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function byPriority(options: { readonly ageingMs?: number; readonly preemptive?: boolean } = {}): Policy {
  checkOptions('byPriority', options, { ageingMs: optional(positive), preemptive: optional(aBoolean) });
  const { ageingMs = 10_000, preemptive = false } = options;
  const priority = ({ request }: SequenceView) => request.priority ?? 0;
  const compare =
    ageingMs === Number.POSITIVE_INFINITY
      ? (a: SequenceView, b: SequenceView) => priority(b) - priority(a) || a.order - b.order
      : byKey((sequence) => sequence.arrival - priority(sequence) * ageingMs);
  return { name: 'priority', compare, preemptive };
}

/**
 * Whoever has the least left to compute goes first, by `expectedTokens` (or `maxTokens`). Each token is worth `msPerToken`
 * of waiting (default 100), so that long requests are delayed, not starved.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function shortestRemaining(
  options: { readonly msPerToken?: number; readonly preemptive?: boolean } = {},
): Policy {
  checkOptions('shortestRemaining', options, { msPerToken: optional(positive), preemptive: optional(aBoolean) });
  const { msPerToken = 100, preemptive = false } = options;
  const key = (sequence: SequenceView) => sequence.arrival + remainingTokens(sequence) * msPerToken;
  return { name: 'shortest-remaining', compare: byKey(key), preemptive };
}

/**
 * The earliest deadline goes first; requests without one count as due `defaultMs` after they came (default 60,000).
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function earliestDeadline(options: { readonly defaultMs?: number; readonly preemptive?: boolean } = {}): Policy {
  checkOptions('earliestDeadline', options, { defaultMs: optional(positive), preemptive: optional(aBoolean) });
  const { defaultMs = 60_000, preemptive = false } = options;
  const key = ({ deadline, arrival }: SequenceView) =>
    deadline < Number.POSITIVE_INFINITY ? deadline : arrival + defaultMs;
  return { name: 'earliest-deadline', compare: byKey(key), preemptive };
}

/** Tokens that a sequence is expected to compute yet. A guess that turned out too low counts as one token more. */
function remainingTokens({ request, length, computed, newTokens }: SequenceView): number {
  const expected = Math.min(request.maxTokens, request.expectedTokens ?? request.maxTokens);
  return length - computed + Math.max(1, expected - newTokens);
}

function byKey(key: (sequence: SequenceView) => number): Policy['compare'] {
  return (a, b) => key(a) - key(b) || a.order - b.order;
}
