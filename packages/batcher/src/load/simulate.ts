import { aFunction, checkArgument, checkOptions, count, having, number, object, optional } from '../checks.ts';
import { BatcherError } from '../errors.ts';
import type {
  ScheduledSequence,
  Scheduler,
  SequenceRequest,
  SequenceResult,
  StepPlan,
} from '../scheduling/scheduler.ts';
import { checkLevel, LoadRecorder, type LoadReport, type ServiceLevel } from './report.ts';
import { type Arrivals, arrivalsRule, type LoadRequest, requestsRule } from './workload.ts';

/** A request of a load as the scheduler gets it, and with it its policy and capacity. */
export interface LoadSequence extends SequenceRequest {
  readonly load: LoadRequest;
}

/** What `simulate` runs. */
export interface SimulateOptions {
  readonly requests: readonly LoadRequest[];
  readonly arrivals: Arrivals;
  /** Makes the scheduler, on the simulation's clock. Its requests are `LoadSequence`s. */
  readonly scheduler: (clock: () => number) => Scheduler;
  /** What a step takes, in ms. */
  readonly costMs: (plan: StepPlan) => number;
  /** The scheduler's `maxTokens` for a request, which it cannot know to stop sooner. Default its `newTokens`. */
  readonly maxTokens?: number;
  readonly serviceLevel?: ServiceLevel;
  /** Ends the simulation at this time; what has not ended by then counts for nothing. Default when all has ended. */
  readonly untilMs?: number;
  /** Told after every step of the tokens that it gave to whom, at which time. */
  readonly onToken?: (request: LoadRequest, at: number) => void;
}

/**
 * Runs a load through a scheduler in virtual time, with a cost for each step in place of a model: the same options give
 * the same report on any machine.
 *
 * @throws BatcherError ERR_ARGUMENT; ERR_CAPACITY if the scheduler leaves requests lying with nothing more to come
 */
export function simulate(options: SimulateOptions): LoadReport {
  checkOptions<SimulateOptions>('simulate', options, {
    requests: requestsRule,
    arrivals: arrivalsRule,
    scheduler: aFunction,
    costMs: aFunction,
    maxTokens: optional(count(0)),
    serviceLevel: optional(object),
    untilMs: optional(number),
    onToken: optional(aFunction),
  });
  const { requests, arrivals, costMs, onToken, untilMs = Number.POSITIVE_INFINITY } = options;
  checkLevel('simulate', options.serviceLevel);
  const recorder = new LoadRecorder(options.serviceLevel);
  const underWay = new Map<string, { readonly load: LoadRequest; generated: number }>();
  let now = 0;
  let next = 0;
  const scheduler = options.scheduler(() => now);
  checkArgument('simulate', 'what scheduler gives', scheduler, having('add', 'step', 'commit'));

  const dueAt = (): number => {
    const request = requests[next];
    if (!request) return Number.POSITIVE_INFINITY;
    if (arrivals.kind === 'open') return request.atMs;
    return underWay.size < arrivals.concurrency ? now : Number.POSITIVE_INFINITY;
  };
  const send = (): void => {
    const load = requests[next++]!;
    const { id, promptTokens, tenant } = load;
    const maxTokens = Math.max(load.newTokens, options.maxTokens ?? 0);
    recorder.sent(id, promptTokens, now);
    const sequence: LoadSequence = { id, promptTokens, maxTokens, tenant, load };
    if (scheduler.add(sequence).accepted) underWay.set(id, { load, generated: 0 });
    else recorder.failed(id, now);
  };
  const answer = ({ id, yields }: ScheduledSequence): SequenceResult | undefined => {
    const sequence = underWay.get(id);
    if (!yields || !sequence) return undefined;
    sequence.generated++;
    return sequence.generated < sequence.load.newTokens ? { tokens: [0] } : { tokens: [0], finish: 'stop' };
  };

  while ((next < requests.length || !scheduler.idle) && now < untilMs) {
    if (scheduler.idle) now = Math.max(now, dueAt());
    while (dueAt() <= now) send();
    const plan = scheduler.step();
    if (plan.sequences.length > 0) now += costMs(plan);
    for (const event of scheduler.commit(plan, plan.sequences.map(answer))) {
      if (event.type === 'token') {
        recorder.tokens(event.id, 1, now);
        onToken?.(underWay.get(event.id)!.load, now);
      } else if (event.type === 'finished') {
        underWay.delete(event.id);
        if (event.reason === 'stop' || event.reason === 'length') recorder.completed(event.id, now);
        else recorder.failed(event.id, now);
      }
    }
    if (plan.sequences.length > 0 || scheduler.idle) continue;
    if (dueAt() === Number.POSITIVE_INFINITY) {
      const what = `simulate: ${scheduler.load.waiting} requests wait, nothing runs and nothing more comes`;
      throw new BatcherError('ERR_CAPACITY', what);
    }
    now = Math.max(now, dueAt());
  }
  return recorder.report();
}
