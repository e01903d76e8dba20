import { aBoolean, aFunction, checkArgument, checkOptions, having, number, object } from '../checks.ts';
import { BatcherError } from '../errors.ts';
import type { Capacity } from './capacity.ts';
import type { Scheduler, SequenceRequest, SequenceResult, StepPlan } from './scheduler.ts';

/** An entry of a plan: id, start, end, drafts, yields. */
export type TracedEntry = readonly [id: string, start: number, end: number, drafts: number, yields: boolean];

/** What a capacity answered to one of a scheduler's calls. */
export type CapacityAnswer = number | boolean | 'full' | 'pending';

/** One call of a scheduler: when it came, what it asked, what the capacity answered meanwhile, and the plan if it made one. */
export type TracedCall = { readonly time: number; readonly capacity: readonly CapacityAnswer[] } & (
  | { readonly call: 'add'; readonly request: SequenceRequest }
  | { readonly call: 'step'; readonly step: number; readonly plan: readonly TracedEntry[] }
  | { readonly call: 'commit'; readonly step: number; readonly results: readonly (SequenceResult | null)[] }
  | { readonly call: 'discard'; readonly step: number }
  | { readonly call: 'abort' | 'pause' | 'resume'; readonly id: string }
);

/** Everything that went into a scheduler, in plain data: it survives JSON. */
export interface SchedulerTrace {
  readonly version: 1;
  readonly maxSequenceTokens: number;
  readonly hasCachedTokens: boolean;
  readonly calls: TracedCall[];
}

/** What a scheduler under trace must be made with. */
export interface TracedParts<R extends SequenceRequest = SequenceRequest> {
  readonly clock: () => number;
  readonly capacity: Capacity<R>;
}

/** Where a replay left the trace. */
export interface TraceDifference {
  /** Index of the call. */
  readonly index: number;
  readonly expected: readonly TracedEntry[];
  readonly got: readonly TracedEntry[];
}

/** What a call was about. */
type Details<C = TracedCall> = C extends TracedCall ? Omit<C, 'time' | 'capacity'> : never;

/**
 * Makes a scheduler whose calls are written down, with the answers of its clock and capacity, so that what happened in
 * production can be run again, step by step. Errors in results are kept as text; the engine's own fields of a request
 * are not kept. The trace grows with every call.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function recordTrace<R extends SequenceRequest>(
  parts: TracedParts<R>,
  make: (parts: TracedParts<R>) => Scheduler<R>,
): { readonly scheduler: Scheduler<R>; readonly trace: SchedulerTrace } {
  checkOptions('recordTrace', parts, { clock: aFunction, capacity: having('admit', 'reserve', 'release') });
  checkArgument('recordTrace', 'capacity.maxSequenceTokens', parts.capacity.maxSequenceTokens, number);
  checkArgument('recordTrace', 'make', make, aFunction);
  const { capacity, clock } = parts;
  const { maxSequenceTokens } = capacity;
  const calls: TracedCall[] = [];
  let time = 0;
  let answers: CapacityAnswer[] = [];
  const noted = <A extends CapacityAnswer>(answer: A): A => {
    answers.push(answer);
    return answer;
  };
  const inner = make({
    clock: () => time,
    capacity: {
      maxSequenceTokens,
      admit: (...args) => noted(capacity.admit(...args)),
      reserve: (...args) => noted(capacity.reserve(...args)),
      release: (...args) => capacity.release(...args),
      withdraw: (request) => capacity.withdraw?.(request),
      ...(capacity.cachedTokens && { cachedTokens: (request: R) => noted(capacity.cachedTokens!(request)) }),
    },
  });
  // A call that throws changes nothing, and is not written down.
  const traced = <T>(run: () => T, details: (result: T) => Details): T => {
    time = clock();
    answers = [];
    const result = run();
    calls.push({ time, capacity: answers, ...details(result) });
    return result;
  };
  const scheduler: Scheduler<R> = {
    add: (request) =>
      traced(
        () => inner.add(request),
        () => ({ call: 'add', request: plainRequest(request) }),
      ),
    step: () =>
      traced(
        () => inner.step(),
        (plan) => ({ call: 'step', step: plan.step, plan: entriesOf(plan) }),
      ),
    commit: (plan, results) => {
      const kept = plan.sequences.map((_, i) => plainResult(results[i]));
      return traced(
        () => inner.commit(plan, results),
        () => ({ call: 'commit', step: plan.step, results: kept }),
      );
    },
    discard: (plan) =>
      traced(
        () => inner.discard(plan),
        () => ({ call: 'discard', step: plan.step }),
      ),
    abort: (id) =>
      traced(
        () => inner.abort(id),
        () => ({ call: 'abort', id }),
      ),
    pause: (id) =>
      traced(
        () => inner.pause(id),
        () => ({ call: 'pause', id }),
      ),
    resume: (id) =>
      traced(
        () => inner.resume(id),
        () => ({ call: 'resume', id }),
      ),
    get idle() {
      return inner.idle;
    },
    get load() {
      return inner.load;
    },
  };
  return {
    scheduler,
    trace: { version: 1, maxSequenceTokens, hasCachedTokens: capacity.cachedTokens !== undefined, calls },
  };
}

/**
 * Makes the calls of a trace again and compares the plans. Returns the first difference, or undefined.
 *
 * @throws BatcherError ERR_ARGUMENT for what is no trace; ERR_PROTOCOL if the scheduler asks its capacity more than it did in
 *   the trace
 */
export function replayTrace(
  trace: SchedulerTrace,
  make: (parts: TracedParts) => Scheduler,
): TraceDifference | undefined {
  checkArgument('replayTrace', 'make', make, aFunction);
  checkArgument('replayTrace', 'trace', trace, object);
  checkArgument('replayTrace', 'maxSequenceTokens', trace.maxSequenceTokens, number);
  checkArgument('replayTrace', 'hasCachedTokens', trace.hasCachedTokens, aBoolean);
  if (trace.version !== 1 || !Array.isArray(trace.calls))
    throw new BatcherError(
      'ERR_ARGUMENT',
      `replayTrace: a trace has version 1 and calls, got version ${trace.version}`,
    );
  let time = 0;
  let answers: Iterator<CapacityAnswer> = [][Symbol.iterator]();
  const answer = <A extends CapacityAnswer>(): A => {
    const { done, value } = answers.next();
    if (!done) return value as A;
    throw new BatcherError(
      'ERR_PROTOCOL',
      'replayTrace: the scheduler asks the capacity more than it did in the trace',
    );
  };
  const scheduler = make({
    clock: () => time,
    capacity: {
      maxSequenceTokens: trace.maxSequenceTokens,
      admit: () => answer<number | 'full' | 'pending'>(),
      reserve: () => answer<boolean>(),
      release: () => {},
      ...(trace.hasCachedTokens && { cachedTokens: () => answer<number>() }),
    },
  });
  const plans = new Map<number, StepPlan>();
  for (const [index, traced] of trace.calls.entries()) {
    time = traced.time;
    answers = traced.capacity[Symbol.iterator]();
    if (traced.call === 'add') scheduler.add(traced.request);
    else if (traced.call === 'step') {
      const plan = scheduler.step();
      plans.set(plan.step, plan);
      const got = entriesOf(plan);
      if (JSON.stringify(got) !== JSON.stringify(traced.plan)) return { index, expected: traced.plan, got };
    } else if (traced.call === 'commit') {
      scheduler.commit(
        planOf(plans, traced.step),
        traced.results.map((result) => result ?? undefined),
      );
      plans.delete(traced.step);
    } else if (traced.call === 'discard') scheduler.discard(planOf(plans, traced.step));
    else scheduler[traced.call](traced.id);
  }
  return undefined;
}

function planOf(plans: ReadonlyMap<number, StepPlan>, step: number): StepPlan {
  const plan = plans.get(step);
  if (!plan)
    throw new BatcherError('ERR_ARGUMENT', `replayTrace: the trace commits step ${step}, which it did not make`);
  return plan;
}

function entriesOf(plan: StepPlan): TracedEntry[] {
  return plan.sequences.map(({ id, start, end, drafts, yields }) => [id, start, end, drafts, yields] as const);
}

function plainRequest(request: SequenceRequest): SequenceRequest {
  const { id, promptTokens, maxTokens, priority, tenant, deadlineMs, expectedTokens, parent, serial } = request;
  const optional = Object.entries({ priority, tenant, deadlineMs, expectedTokens, parent, serial });
  const given = optional.filter(([, value]) => value !== undefined);
  return { id, promptTokens, maxTokens, ...Object.fromEntries(given) };
}

function plainResult(result: SequenceResult | undefined): SequenceResult | null {
  if (!result) return null;
  const { error, ...rest } = result;
  return error === undefined ? rest : { ...rest, error: String(error) };
}
