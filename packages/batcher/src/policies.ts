import type { Policy } from './policy.ts';

/** Whoever came first goes first. */
export function firstCome(): Policy {
  return { name: 'first-come', compare: (a, b) => a.order - b.order };
}
