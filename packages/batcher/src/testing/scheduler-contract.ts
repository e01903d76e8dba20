import { aFunction, checkArgument } from '../checks.ts';
import { isBatcherError } from '../errors.ts';
import { seededRandom } from '../load/random.ts';
import { blockCapacity } from '../scheduling/block-capacity.ts';
import type { Capacity } from '../scheduling/capacity.ts';
import type { Scheduler, SchedulerEvent, SequenceRequest, SequenceResult, StepPlan } from '../scheduling/scheduler.ts';
import { auditedCapacity } from './audited-capacity.ts';
import { auditedScheduler } from './audited-scheduler.ts';
import { type ContractCase, holds, same } from './contract.ts';
import { randomWalk } from './random-walk.ts';

/** What a scheduler under test is made with. */
export interface SchedulerParts {
  readonly maxBatchTokens: number;
  readonly maxSequences: number;
  readonly capacity: Capacity;
  readonly clock: () => number;
}

/** Makes the scheduler under test. */
export type MakeScheduler = (parts: SchedulerParts) => Scheduler;

/** A scheduler under test, audited, over a counted capacity, with a clock that stands until it is moved. */
class Bench {
  readonly counts: ReturnType<typeof blockCapacity>;
  readonly scheduler: Scheduler;
  now = 0;

  constructor(make: MakeScheduler, blocks = 64, maxBatchTokens = 16, maxSequences = 4) {
    this.counts = blockCapacity({ blocks, blockSize: 4 });
    const limits = { maxBatchTokens, maxSequences };
    const capacity = auditedCapacity(this.counts);
    this.scheduler = auditedScheduler(make({ ...limits, capacity, clock: () => this.now }), limits);
  }

  add(id: string, promptTokens: number, maxTokens: number, more: Partial<SequenceRequest> = {}): void {
    const admission = this.scheduler.add({ id, promptTokens, maxTokens, ...more });
    holds(admission.accepted, `'${id}' is accepted`);
  }

  /** One step, answered with the position of each token as its value. */
  turn(
    answer: (entry: StepPlan['sequences'][number]) => SequenceResult | undefined = byPosition,
  ): readonly SchedulerEvent[] {
    const plan = this.scheduler.step();
    return this.scheduler.commit(plan, plan.sequences.map(answer));
  }

  /** Runs until nothing is left, in at most `most` steps. */
  finish(most = 1000): SchedulerEvent[] {
    const events: SchedulerEvent[] = [];
    for (let i = 0; !this.scheduler.idle; i++) {
      holds(i < most, `everything ends within ${most} steps`);
      events.push(...this.turn());
    }
    same(this.counts.free, this.counts.total, 'the capacity is free at the end');
    return events;
  }
}

function byPosition({ end, drafts, yields, request }: StepPlan['sequences'][number]): SequenceResult | undefined {
  if (!yields) return undefined;
  return { tokens: request.maxTokens > 0 ? [end - drafts] : [] };
}

function tokensOf(events: readonly SchedulerEvent[], id: string): number[] {
  return events.flatMap((event) => (event.type === 'token' && event.id === id ? [event.token] : []));
}

/**
 * The rules of a `Scheduler`, to be run on any: `for (const { name, run } of schedulerContract(make)) it(name, run)`.
 * It must use the clock and the capacity that it is given, with one plan in flight.
 */
export function schedulerContract(make: MakeScheduler): ContractCase[] {
  checkArgument('schedulerContract', 'make', make, aFunction);
  return [
    {
      name: 'computes every prompt and generates every token, in order',
      run() {
        const bench = new Bench(make);
        for (let i = 0; i < 10; i++) bench.add(`r${i}`, 1 + 5 * i, 1 + i);
        const events = bench.finish();
        for (let i = 0; i < 10; i++) {
          const expected = Array.from({ length: 1 + i }, (_, index) => 1 + 5 * i + index);
          same(tokensOf(events, `r${i}`), expected, `tokens of r${i}`);
        }
      },
    },
    {
      name: 'computes a prompt alone where nothing is to be generated',
      run() {
        const bench = new Bench(make);
        bench.add('a', 40, 0);
        const events = bench.finish();
        same(
          events.map(({ type }) => type),
          ['admitted', 'finished'],
          'events',
        );
      },
    },
    {
      name: 'goes on decoding while a long prompt is computed in chunks',
      run() {
        const bench = new Bench(make);
        bench.add('short', 2, 12);
        bench.turn();
        bench.add('long', 100, 1);
        for (let i = 0; i < 6; i++)
          same(tokensOf(bench.turn(), 'short').length, 1, 'tokens of the decoding sequence a step');
        bench.finish();
      },
    },
    {
      name: 'loses no token when sequences outgrow the capacity',
      run() {
        const bench = new Bench(make, 10);
        for (const id of ['a', 'b', 'c', 'd']) bench.add(id, 6, 24);
        const events = bench.finish();
        for (const id of ['a', 'b', 'c', 'd']) {
          same(
            tokensOf(events, id),
            Array.from({ length: 24 }, (_, i) => 6 + i),
            `tokens of ${id}`,
          );
        }
      },
    },
    {
      name: 'refuses at once what could never run',
      run() {
        const { scheduler } = new Bench(make, 4);
        const admission = scheduler.add({ id: 'a', promptTokens: 17, maxTokens: 1 });
        holds(!admission.accepted && isBatcherError(admission.error, 'ERR_TOO_LARGE'), 'ERR_TOO_LARGE');
        holds(scheduler.idle, 'nothing of a refused request is left');
      },
    },
    {
      name: 'refuses an id that is in use',
      run() {
        const bench = new Bench(make);
        bench.add('a', 1, 2);
        const admission = bench.scheduler.add({ id: 'a', promptTokens: 1, maxTokens: 1 });
        holds(!admission.accepted && isBatcherError(admission.error, 'ERR_DUPLICATE_ID'), 'ERR_DUPLICATE_ID');
        bench.finish();
      },
    },
    {
      name: 'frees the capacity of an aborted request within one step',
      run() {
        const bench = new Bench(make);
        for (const id of ['a', 'b']) bench.add(id, 10, 50);
        bench.turn();
        const plan = bench.scheduler.step();
        for (const id of ['a', 'b']) holds(bench.scheduler.abort(id), `${id} is aborted`);
        const events = bench.scheduler.commit(plan, plan.sequences.map(byPosition));
        same(bench.counts.free, bench.counts.total, 'free blocks');
        same(
          events.map(({ type }) => type),
          ['finished', 'finished'],
          'events',
        );
        holds(!bench.scheduler.abort('a'), 'an ended request is not aborted again');
      },
    },
    {
      name: 'leaves a paused sequence out and lets others go on',
      run() {
        const bench = new Bench(make);
        for (const id of ['a', 'b']) bench.add(id, 4, 8);
        bench.turn();
        holds(bench.scheduler.pause('a'), 'a is paused');
        const events = [0, 0, 0].flatMap(() => [...bench.turn()]);
        same([tokensOf(events, 'a').length, tokensOf(events, 'b').length], [0, 3], 'tokens of a and b');
        holds(bench.scheduler.resume('a'), 'a is resumed');
        same(tokensOf(bench.finish(), 'a').length, 7, 'tokens of a after it is resumed');
      },
    },
    {
      name: 'does not let a paused sequence keep others out',
      run() {
        const bench = new Bench(make, 8);
        bench.add('paused', 20, 8);
        bench.turn();
        bench.turn();
        bench.scheduler.pause('paused');
        bench.add('other', 30, 2);
        let other = 0;
        for (let i = 0; i < 10; i++) other += tokensOf(bench.turn(), 'other').length;
        same(other, 2, 'tokens of the other');
        bench.scheduler.resume('paused');
        bench.finish();
      },
    },
    {
      name: 'verifies drafts, keeps the accepted and computes again after the rejected',
      run() {
        const bench = new Bench(make);
        bench.add('a', 3, 12);
        bench.turn(() => ({ tokens: [100], drafts: 4 }));
        let seen: StepPlan['sequences'][number] | undefined;
        const events = bench.turn((entry) => {
          seen = entry;
          return { tokens: Array.from({ length: Math.min(3, entry.drafts + 1) }, (_, i) => 101 + i) };
        });
        const accepted = Math.min(2, seen?.drafts ?? 0);
        same(tokensOf(events, 'a').length, 1 + accepted, 'tokens of the step');
        same(bench.scheduler.step().sequences[0]?.start, 4 + accepted, 'start of the next step');
      },
    },
    {
      name: 'ends a request at its deadline, wherever it stands',
      run() {
        const bench = new Bench(make, 64, 16, 1);
        bench.add('running', 4, 20, { deadlineMs: 10 });
        bench.add('waiting', 4, 20, { deadlineMs: 10 });
        bench.turn();
        bench.now = 10;
        const ends = bench.turn().flatMap((event) => (event.type === 'finished' ? [event.reason] : []));
        same(ends, ['deadline', 'deadline'], 'reasons');
        same(bench.counts.free, bench.counts.total, 'free blocks');
      },
    },
    {
      name: 'takes back a plan that was not computed',
      run() {
        const bench = new Bench(make);
        bench.add('a', 20, 3);
        bench.turn();
        const plan = bench.scheduler.step();
        bench.scheduler.discard(plan);
        const again = bench.scheduler.step();
        same(
          again.sequences.map(({ start, end }) => [start, end]),
          plan.sequences.map(({ start, end }) => [start, end]),
          'plan',
        );
        bench.scheduler.commit(again, again.sequences.map(byPosition));
        bench.finish();
      },
    },
    {
      name: 'makes the same plans from the same calls',
      run() {
        const plans = () => {
          const bench = new Bench(make, 12);
          const seen: unknown[] = [];
          for (let i = 0; i < 12; i++) bench.add(`r${i}`, 3 + ((i * 7) % 11), 2 + ((i * 5) % 9), { priority: i % 3 });
          while (!bench.scheduler.idle) {
            const plan = bench.scheduler.step();
            seen.push(plan.sequences.map(({ id, start, end }) => [id, start, end]));
            bench.scheduler.commit(plan, plan.sequences.map(byPosition));
          }
          return seen;
        };
        same(plans(), plans(), 'plans');
      },
    },
    ...[1, 2, 3, 4, 5].map((seed) => ({
      name: `keeps every rule on a random walk (seed ${seed})`,
      run() {
        const bench = new Bench(make, 6 + 3 * seed, 4 * seed, 1 + seed);
        randomWalk(bench.scheduler, {
          calls: 400,
          random: seededRandom(seed),
          maxPromptTokens: 20,
          maxNewTokens: 10,
          advance: (ms) => {
            bench.now += ms;
          },
        });
        same(bench.counts.free, bench.counts.total, 'free blocks');
      },
    })),
  ];
}
