import { aFunction, checkArgument } from '../checks.ts';
import { type Random, seededRandom } from '../load/random.ts';
import type { Capacity } from '../scheduling/capacity.ts';
import type { SequenceRequest } from '../scheduling/scheduler.ts';
import { type ContractCase, holds, same } from './contract.ts';

/** A capacity under test with what makes requests for it. */
export interface CapacityUnderTest<R extends SequenceRequest> {
  readonly capacity: Capacity<R>;
  /** A request for which nothing is cached yet, with whatever the capacity wants to find on it. */
  request(id: string, promptTokens: number, maxTokens: number): R;
}

/**
 * The rules of a `Capacity`, to be run on any: `for (const { name, run } of capacityContract(make)) it(name, run)`.
 * `make` gives a fresh one that is never 'pending', with room for at least 8 tokens a sequence.
 */
export function capacityContract<R extends SequenceRequest>(make: () => CapacityUnderTest<R>): ContractCase[] {
  checkArgument('capacityContract', 'make', make, aFunction);
  return [
    {
      name: 'takes the largest request alone, at once or grown token by token',
      run() {
        const { capacity, request } = make();
        const most = capacity.maxSequenceTokens;
        for (const first of [most, 1]) {
          const large = request(`large-${first}`, 1, most);
          opened(capacity.admit(large, first, 1, undefined), 'the largest request');
          for (let tokens = first; tokens <= most; tokens++)
            holds(capacity.reserve(large, tokens), `it grows to ${tokens}`);
          capacity.release(large, 'finished');
        }
      },
    },
    {
      name: 'gives what it has given, again and again',
      run() {
        const { capacity, request } = make();
        const a = request('a', 4, 4);
        opened(capacity.admit(a, 6, 4, undefined), 'a');
        for (let i = 0; i < 10_000; i++) holds(capacity.reserve(a, 1 + (i % 6)), 'what it has is granted');
        capacity.release(a, 'finished');
      },
    },
    {
      name: 'says full when it is, leaves nothing of what did not fit, and has everything back at the end',
      run() {
        const { capacity, request } = make();
        const most = capacity.maxSequenceTokens;
        for (let round = 0; round < 3; round++) {
          const open: R[] = [];
          for (let i = 0; ; i++) {
            holds(i < 100_000, 'a capacity ends somewhere');
            const next = request(`r${round}-${i}`, most, 1);
            if (capacity.admit(next, most, most, undefined) === 'full') break;
            open.push(next);
          }
          holds(open.length > 0, 'the largest request fits an empty capacity');
          const first = open.pop()!;
          capacity.release(first, 'finished');
          const again = request(`r${round}-again`, most, 1);
          opened(capacity.admit(again, most, most, undefined), 'the same again after a release');
          capacity.release(again, 'finished');
          for (const one of open) capacity.release(one, 'finished');
        }
      },
    },
    {
      name: 'takes a preempted request back',
      run() {
        const { capacity, request } = make();
        const a = request('a', 4, 4);
        opened(capacity.admit(a, 4, 4, undefined), 'a');
        capacity.release(a, 'preempted');
        opened(capacity.admit(a, 6, 6, undefined), 'a again');
        capacity.release(a, 'finished');
      },
    },
    ...[1, 2, 3].map((seed) => ({
      name: `is whole after random use (seed ${seed})`,
      run() {
        const { capacity, request } = make();
        const random = seededRandom(seed);
        const most = capacity.maxSequenceTokens;
        const open: { request: R; tokens: number }[] = [];
        for (let i = 0; i < 3000; i++) use(capacity, request, open, random, i);
        for (const one of open) capacity.release(one.request, 'finished');
        const large = request('large', most, 1);
        opened(capacity.admit(large, most, most, undefined), 'the largest request, when all others are closed');
        capacity.release(large, 'finished');
      },
    })),
  ];
}

/** One random use: open, grow or close. */
function use<R extends SequenceRequest>(
  capacity: Capacity<R>,
  request: CapacityUnderTest<R>['request'],
  open: { request: R; tokens: number }[],
  random: Random,
  i: number,
): void {
  const upTo = (count: number) => 1 + Math.floor(random() * count);
  const at = Math.floor(random() * open.length);
  const one = open[at];
  if (!one || random() < 0.4) {
    const promptTokens = upTo(capacity.maxSequenceTokens);
    const next = request(`u${i}`, promptTokens, capacity.maxSequenceTokens - promptTokens + 1);
    const found = capacity.admit(next, promptTokens, promptTokens, undefined);
    if (found === 'full') return;
    opened(found, `'${next.id}'`);
    open.push({ request: next, tokens: promptTokens });
  } else if (random() < 0.6) {
    const tokens = Math.min(capacity.maxSequenceTokens, one.tokens + upTo(4));
    if (capacity.reserve(one.request, tokens)) one.tokens = tokens;
    else holds(capacity.reserve(one.request, one.tokens), 'a refused growth takes nothing away');
  } else {
    capacity.release(one.request, random() < 0.5 ? 'finished' : 'preempted');
    open.splice(at, 1);
  }
}

function opened(found: number | 'full' | 'pending', what: string): void {
  same(typeof found, 'number', `${what} is opened (${found})`);
  holds(Number.isInteger(found) && (found as number) >= 0, `${what}: cached tokens are a count, got ${found}`);
}
