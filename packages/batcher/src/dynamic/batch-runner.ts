import { AbortWatch } from '../abort-watch.ts';
import {
  aFunction,
  signal as aSignal,
  atLeast0,
  checkArgument,
  checkOptions,
  count,
  describe,
  list,
  number,
  optional,
  text,
} from '../checks.ts';
import { BatcherError, RejectedError } from '../errors.ts';
import { finishRate } from '../scheduling/finish-rate.ts';
import { Heap } from '../scheduling/heap.ts';
import { BatchQueue, type Waiting } from './batch-queue.ts';
import { type BatchObserver, type DynamicFigures, DynamicStatistics, type ItemOutcome } from './dynamic-statistics.ts';
import { type Failed, isFailed } from './item-failure.ts';
import type { DynamicBatcherOptions, ItemOptions } from './options.ts';

interface Job<I, O> extends Waiting<I> {
  readonly deadline: number;
  readonly resolve: (answer: O) => void;
  readonly reject: (reason: unknown) => void;
  /** Lets go of the signal. */
  detach: () => void;
  batch: Batch | undefined;
  settled: boolean;
}

interface Batch {
  readonly controller: AbortController;
  /** Items that someone still waits for. */
  wanted: number;
}

/** Timers count in 31 bits. */
const LONGEST_TIMEOUT_MS = 2 ** 31 - 1;

/** The queue, the timer and the running batches of a dynamic batcher. */
export class BatchRunner<I, O, B> {
  readonly #options: DynamicBatcherOptions<I, O, B>;
  readonly #clock: () => number;
  readonly #maxQueue: number;
  readonly #maxBatchCost: number;
  readonly #concurrency: number;
  readonly #ageingMs: number;
  readonly #queue: BatchQueue<I, Job<I, O>>;
  readonly #deadlines: Heap<Job<I, O>> = new Heap((a, b) => a.deadline - b.deadline || a.order - b.order);
  readonly #unsettled: Set<Promise<O>> = new Set();
  readonly #running: Set<Promise<void>> = new Set();
  readonly #signals: AbortWatch = new AbortWatch();
  readonly #statistics: DynamicStatistics;
  readonly #observers: readonly BatchObserver[];
  readonly #finishRate = finishRate();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #order = 0;
  #draining = 0;
  #closed = false;
  #pumping = false;

  constructor(options: DynamicBatcherOptions<I, O, B>) {
    checkOptions<DynamicBatcherOptions<I, O, B>>('dynamicBatcher', options, {
      run: aFunction,
      maxBatchSize: count(1),
      maxWaitMs: atLeast0,
      maxQueue: optional(count(1)),
      keyOf: optional(aFunction),
      costOf: optional(aFunction),
      maxBatchCost: optional(atLeast0),
      collate: optional(aFunction),
      concurrency: optional(count(1)),
      ageingMs: optional(atLeast0),
      observers: optional(list),
      clock: optional(aFunction),
    });
    const { maxBatchSize, maxWaitMs, maxBatchCost = Number.POSITIVE_INFINITY, maxQueue = 1024 } = options;
    if ((options.costOf === undefined) !== (options.maxBatchCost === undefined))
      throw new BatcherError('ERR_ARGUMENT', 'dynamicBatcher: costOf and maxBatchCost go together, got one of them');
    const { concurrency = 1, ageingMs = 1000, clock = () => performance.now() } = options;
    this.#options = options;
    this.#clock = clock;
    this.#maxQueue = maxQueue;
    this.#maxBatchCost = maxBatchCost;
    this.#concurrency = concurrency;
    this.#ageingMs = ageingMs;
    this.#queue = new BatchQueue({ maxBatchSize, maxWaitMs, maxBatchCost });
    this.#statistics = new DynamicStatistics(clock);
    this.#observers = [this.#statistics, ...(options.observers ?? [])];
  }

  submit(item: I, options: ItemOptions): Promise<O> {
    const { signal, priority = 0, deadlineMs = Number.POSITIVE_INFINITY } = options ?? {};
    if (signal?.aborted) return Promise.reject(signal.reason);
    const cost = this.#options.costOf?.(item) ?? 0;
    const key = this.#options.keyOf?.(item) ?? '';
    const refused = this.#junk(options, cost, key) ?? this.#refusal(cost);
    if (refused) {
      for (const observer of this.#observers) observer.rejected?.();
      return Promise.reject(refused);
    }
    const arrival = this.#clock();
    const rank = this.#ageingMs === Number.POSITIVE_INFINITY ? -priority : arrival - priority * this.#ageingMs;
    const order = this.#order++;
    const deadline = arrival + deadlineMs;
    const promise = new Promise<O>((resolve, reject) => {
      const detach = () => {};
      const job: Job<I, O> = {
        item,
        order,
        arrival,
        rank,
        cost,
        key,
        deadline,
        resolve,
        reject,
        detach,
        batch: undefined,
        settled: false,
      };
      const abort = () => {
        this.#giveUp(job, signal?.reason, 'aborted');
        this.#pumpSoon(); // a timer for nobody would keep the process
      };
      if (signal) job.detach = this.#signals.watch(signal, abort);
      this.#queue.push(job);
      if (deadline < Number.POSITIVE_INFINITY) this.#deadlines.push(job);
    });
    this.#unsettled.add(promise);
    const forget = () => this.#unsettled.delete(promise);
    promise.then(forget, forget);
    this.#pumpSoon();
    return promise;
  }

  async drain(): Promise<void> {
    this.#draining++;
    this.#pump();
    await Promise.allSettled(this.#unsettled);
    // Batches whose items were all given up may still run.
    await Promise.allSettled(this.#running);
    this.#draining--;
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.drain();
  }

  figures(): DynamicFigures {
    return this.#statistics.figures(this.#queue.size, this.#running.size);
  }

  /** Why a call cannot be understood, if it cannot. */
  #junk(options: ItemOptions, cost: unknown, key: unknown): RejectedError | undefined {
    try {
      const rules = { signal: optional(aSignal), priority: optional(number), deadlineMs: optional(number) };
      checkOptions<ItemOptions>('dynamicBatcher', options, rules);
      checkArgument('dynamicBatcher', 'what costOf answers', cost, number);
      checkArgument('dynamicBatcher', 'what keyOf answers', key, text);
    } catch (error) {
      return new RejectedError('ERR_ARGUMENT', (error as Error).message);
    }
    return undefined;
  }

  #refusal(cost: number): RejectedError | undefined {
    if (this.#closed) return new RejectedError('ERR_CLOSED', 'dynamicBatcher: closed, takes no more items');
    if (cost > this.#maxBatchCost) {
      const what = `dynamicBatcher: the item costs ${cost}, maxBatchCost is ${this.#maxBatchCost}`;
      return new RejectedError('ERR_TOO_LARGE', what);
    }
    // items of this turn may be due already, and then do not wait
    if (this.#queue.size >= this.#maxQueue) this.#pump();
    if (this.#queue.size < this.#maxQueue) return undefined;
    const retryAfterMs = this.#finishRate.timeFor(this.#queue.size / 2);
    const what = `dynamicBatcher: ${this.#queue.size} items wait and maxQueue is ${this.#maxQueue}`;
    return new RejectedError('ERR_QUEUE_FULL', `${what}; retry in ${retryAfterMs} ms`, retryAfterMs);
  }

  /** Looks for due batches when the present turn is over, so that items that come together go together. */
  #pumpSoon(): void {
    if (this.#pumping) return;
    this.#pumping = true;
    queueMicrotask(() => {
      this.#pumping = false;
      this.#pump();
    });
  }

  /** Starts what is due and can run, and sets the timer for what comes next. */
  #pump(): void {
    const now = this.#clock();
    for (let job = this.#deadlines.peek(); job && job.deadline <= now; job = this.#deadlines.peek()) {
      const waited = `${Math.round(now - job.arrival)} ms`;
      this.#giveUp(job, new BatcherError('ERR_DEADLINE', `dynamicBatcher: no answer after ${waited}`), 'deadline');
    }
    while (this.#running.size < this.#concurrency) {
      const jobs = this.#queue.take(now, this.#draining > 0);
      if (!jobs) break;
      this.#start(jobs, now);
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = this.#running.size < this.#concurrency ? this.#queue.dueAt() : Number.POSITIVE_INFINITY;
    const next = Math.min(due, this.#deadlines.peek()?.deadline ?? Number.POSITIVE_INFINITY);
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = setTimeout(() => this.#pump(), Math.min(LONGEST_TIMEOUT_MS, Math.max(0, Math.ceil(next - now))));
  }

  #start(jobs: readonly Job<I, O>[], now: number): void {
    const batch: Batch = { controller: new AbortController(), wanted: jobs.length };
    for (const job of jobs) job.batch = batch;
    const started = {
      size: jobs.length,
      queueLength: this.#queue.size,
      waitMs: jobs.map(({ arrival }) => now - arrival),
    };
    for (const observer of this.#observers) observer.started?.(started);
    const running = this.#run(jobs, batch).then(() => {
      const finished = { size: jobs.length, runMs: this.#clock() - now };
      this.#running.delete(running);
      for (const observer of this.#observers) observer.finished?.(finished);
      this.#pump();
    });
    this.#running.add(running);
  }

  /** Runs a batch and settles its items; never rejects. */
  async #run(jobs: readonly Job<I, O>[], { controller }: Batch): Promise<void> {
    const items = jobs.map(({ item }) => item);
    try {
      const { collate, run } = this.#options;
      // Without `collate` the type B is what it defaults to.
      const batch = collate ? collate(items) : (items as unknown as B);
      const results: unknown = await run(batch, { items, key: jobs[0]!.key, signal: controller.signal });
      checkAnswers<O>(results, jobs.length);
      for (const [i, job] of jobs.entries()) {
        const result = results[i]!;
        if (isFailed(result)) this.#settle(job, 'failed', () => job.reject(result.reason));
        else this.#settle(job, 'answered', () => job.resolve(result));
      }
    } catch (error) {
      for (const job of jobs) this.#settle(job, 'failed', () => job.reject(error ?? noReason()));
    }
  }

  /** Settles an item for its caller, waiting or running. */
  #giveUp(job: Job<I, O>, reason: unknown, outcome: ItemOutcome): void {
    this.#queue.remove(job);
    this.#settle(job, outcome, () => job.reject(reason));
    if (job.batch && --job.batch.wanted === 0) job.batch.controller.abort(reason);
  }

  #settle(job: Job<I, O>, outcome: ItemOutcome, tell: () => void): void {
    if (job.settled) return;
    job.settled = true;
    job.detach();
    this.#deadlines.remove(job);
    const now = this.#clock();
    this.#finishRate.finished(now);
    for (const observer of this.#observers) observer.settled?.(outcome, now - job.arrival);
    tell();
  }
}

/** @throws BatcherError ERR_RUN unless `results` is a list of one result per item */
/** What an item is rejected with where nothing was said. */
const noReason = () => new BatcherError('ERR_RUN', 'dynamicBatcher: the batch failed without saying why');

function checkAnswers<O>(results: unknown, items: number): asserts results is readonly (O | Failed)[] {
  const count = Array.isArray(results) ? `${results.length} results` : describe(results);
  if (Array.isArray(results) && results.length === items) return;
  throw new BatcherError(
    'ERR_RUN',
    `dynamicBatcher: run must answer one result per item, expected ${items}, got ${count}`,
  );
}
