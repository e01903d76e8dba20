import { aFunction, checkOptions, count, optional } from '../checks.ts';
import type { SchedulerObserver } from '../scheduling/observe.ts';
import type {
  Admission,
  FinishReason,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  StepPlan,
} from '../scheduling/scheduler.ts';
import { QuantileSketch, type Summary } from './quantile-sketch.ts';
import { RateMeter } from './rate-meter.ts';

/** What a scheduler did since its statistics began. Times in ms. */
export interface SchedulerFigures {
  readonly requests: {
    readonly added: number;
    readonly rejected: number;
    readonly finished: Readonly<Record<FinishReason, number>>;
    readonly waiting: number;
    readonly running: number;
  };
  readonly tokens: {
    /** Computed by steps that were committed, drafts and recomputation included. */
    readonly computed: number;
    /** Found in the cache on admission. */
    readonly cached: number;
    readonly generated: number;
    /** Drafts that were verified, and those of them that were accepted. */
    readonly drafted: number;
    readonly accepted: number;
    readonly generatedPerSecond: number;
    readonly generatedPerSecondRecently: number;
  };
  readonly steps: number;
  readonly preemptions: number;
  /** Sequences in a step, of steps that had any. */
  readonly batchSize: Summary;
  /** Share of `maxBatchTokens` that a step used, 0 to 1. */
  readonly budgetUse: Summary;
  /** Waiting requests, seen at every step. */
  readonly queueLength: Summary;
  /** From `step` to `commit`. */
  readonly stepMs: Summary;
  /** In the queue, per admission. */
  readonly waitMs: Summary;
  readonly timeToFirstTokenMs: Summary;
  /** Between the commits that brought a sequence tokens. */
  readonly interTokenMs: Summary;
  /** From `add` to the end, of requests that stopped or reached their length. */
  readonly endToEndMs: Summary;
}

/** An observer that keeps figures in constant memory (streaming percentiles within 1%). */
export interface SchedulerStatistics extends SchedulerObserver {
  figures(): SchedulerFigures;
}

/**
 * Statistics of a scheduler: `observed(scheduler, statistics)` keeps them up to date. `clock` must be the scheduler's.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function schedulerStatistics(options: {
  readonly maxBatchTokens: number;
  readonly clock?: () => number;
}): SchedulerStatistics {
  checkOptions('schedulerStatistics', options, { maxBatchTokens: count(1), clock: optional(aFunction) });
  return new Statistics(options.maxBatchTokens, options.clock ?? (() => performance.now()));
}

class Statistics implements SchedulerStatistics {
  readonly #maxBatchTokens: number;
  readonly #clock: () => number;
  readonly #batchSize = new QuantileSketch();
  readonly #budgetUse = new QuantileSketch();
  readonly #queueLength = new QuantileSketch();
  readonly #stepMs = new QuantileSketch();
  readonly #waitMs = new QuantileSketch();
  readonly #timeToFirstTokenMs = new QuantileSketch();
  readonly #interTokenMs = new QuantileSketch();
  readonly #endToEndMs = new QuantileSketch();
  readonly #rate = new RateMeter();
  readonly #finished: Record<FinishReason, number> = { stop: 0, length: 0, aborted: 0, deadline: 0, error: 0 };
  readonly #lastToken: Map<string, number> = new Map();
  readonly #plannedAt: Map<StepPlan, number> = new Map();
  #load = { waiting: 0, running: 0 };
  #since: number | undefined;
  #added = 0;
  #rejected = 0;
  #computed = 0;
  #cached = 0;
  #generated = 0;
  #drafted = 0;
  #accepted = 0;
  #steps = 0;
  #preemptions = 0;

  constructor(maxBatchTokens: number, clock: () => number) {
    this.#maxBatchTokens = maxBatchTokens;
    this.#clock = clock;
  }

  added(_request: SequenceRequest, admission: Admission, load: SchedulerLoad): void {
    this.#since ??= this.#clock();
    this.#load = load;
    if (admission.accepted) this.#added++;
    else this.#rejected++;
  }

  planned(plan: StepPlan, load: SchedulerLoad): void {
    this.#load = load;
    if (plan.sequences.length === 0) return;
    this.#plannedAt.set(plan, this.#clock());
    this.#batchSize.add(plan.sequences.length);
    this.#budgetUse.add(plan.tokens / this.#maxBatchTokens);
    this.#queueLength.add(load.waiting);
  }

  committed(plan: StepPlan, events: readonly SchedulerEvent[], load: SchedulerLoad): void {
    this.#load = load;
    const plannedAt = this.#plannedAt.get(plan);
    if (plannedAt !== undefined) {
      const now = this.#clock();
      this.#plannedAt.delete(plan);
      this.#steps++;
      this.#stepMs.add(now - plannedAt);
      this.#computed += plan.tokens;
      for (const { drafts } of plan.sequences) this.#drafted += drafts;
    }
    let id: string | undefined;
    for (const event of events) {
      // Tokens of one sequence come together: those after the first are accepted drafts.
      if (event.type === 'token' && event.id === id) this.#accepted++;
      else this.#count(event);
      if (event.type === 'token') {
        id = event.id;
        this.#generated++;
        this.#rate.add(1, event.time);
      }
    }
  }

  discarded(plan: StepPlan): void {
    this.#plannedAt.delete(plan);
  }

  figures(): SchedulerFigures {
    const now = this.#clock();
    const seconds = (now - (this.#since ?? now)) / 1000;
    return {
      requests: {
        added: this.#added,
        rejected: this.#rejected,
        finished: { ...this.#finished },
        waiting: this.#load.waiting,
        running: this.#load.running,
      },
      tokens: {
        computed: this.#computed,
        cached: this.#cached,
        generated: this.#generated,
        drafted: this.#drafted,
        accepted: this.#accepted,
        generatedPerSecond: seconds > 0 ? this.#generated / seconds : 0,
        generatedPerSecondRecently: this.#rate.perSecond(now),
      },
      steps: this.#steps,
      preemptions: this.#preemptions,
      batchSize: this.#batchSize.summary(),
      budgetUse: this.#budgetUse.summary(),
      queueLength: this.#queueLength.summary(),
      stepMs: this.#stepMs.summary(),
      waitMs: this.#waitMs.summary(),
      timeToFirstTokenMs: this.#timeToFirstTokenMs.summary(),
      interTokenMs: this.#interTokenMs.summary(),
      endToEndMs: this.#endToEndMs.summary(),
    };
  }

  #count(event: SchedulerEvent): void {
    const { id, time } = event;
    if (event.type === 'token') {
      const last = this.#lastToken.get(id);
      if (last !== undefined) this.#interTokenMs.add(time - last);
      this.#lastToken.set(id, time);
    } else if (event.type === 'admitted') {
      this.#waitMs.add(event.waitMs);
      this.#cached += event.cachedTokens;
    } else if (event.type === 'firstToken') {
      this.#timeToFirstTokenMs.add(event.sinceArrivalMs);
    } else if (event.type === 'preempted') {
      this.#preemptions++;
    } else {
      this.#lastToken.delete(id);
      this.#finished[event.reason]++;
      if (event.reason === 'stop' || event.reason === 'length') this.#endToEndMs.add(event.sinceArrivalMs);
    }
  }
}
