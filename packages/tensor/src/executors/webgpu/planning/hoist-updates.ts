import type { Step } from '../values.ts';

/**
 * Puts each update directly behind the last step that it must follow: those that compute what it reads, and those that read
 * what it overwrites. What it reads can then be given up early.
 */
export function hoistUpdates(steps: readonly Step[], updates: readonly Step[]): Step[] {
  const order = [...steps];
  for (const update of updates) {
    let at = order.length;
    while (at > 0 && !conflict(update, order[at - 1]!)) at--;
    order.splice(at, 0, update);
  }
  return order;
}

/** Whether two steps touch one buffer and one of them writes it. */
export function conflict(a: Step, b: Step): boolean {
  return a.bindings.some((x) =>
    b.bindings.some((y) => x.value === y.value && (x.access === 'write' || y.access === 'write')),
  );
}
