import { QuantileSketch, type Summary } from '../metrics/quantile-sketch.ts';
import { RateMeter } from '../metrics/rate-meter.ts';

/** What became of an item. */
export type ItemOutcome = 'answered' | 'failed' | 'aborted' | 'deadline';

/** Someone who is told what a dynamic batcher does. Times in ms. */
export interface BatchObserver {
  /** An item was refused. */
  rejected?(): void;
  /** A batch of `size` items starts; `queueLength` items are left waiting. */
  started?(batch: { readonly size: number; readonly queueLength: number; readonly waitMs: readonly number[] }): void;
  /** A batch has run, successfully or not. */
  finished?(batch: { readonly size: number; readonly runMs: number }): void;
  /** An item has its result or its error. */
  settled?(outcome: ItemOutcome, latencyMs: number): void;
}

/** What a dynamic batcher did since it was made. Times in ms. */
export interface DynamicFigures {
  readonly items: Readonly<Record<ItemOutcome, number>> & {
    readonly rejected: number;
    /** Waiting now. */
    readonly waiting: number;
  };
  readonly batches: number;
  /** Running now. */
  readonly running: number;
  readonly answeredPerSecond: number;
  readonly answeredPerSecondRecently: number;
  readonly batchSize: Summary;
  /** Items left waiting when a batch starts. */
  readonly queueLength: Summary;
  /** From the call to the start of the item's batch. */
  readonly waitMs: Summary;
  readonly runMs: Summary;
  /** From the call to the answer, of answered items. */
  readonly latencyMs: Summary;
}

/** An observer that keeps figures in constant memory. */
export class DynamicStatistics implements BatchObserver {
  readonly #clock: () => number;
  readonly #since: number;
  readonly #outcomes: Record<ItemOutcome, number> = { answered: 0, failed: 0, aborted: 0, deadline: 0 };
  readonly #batchSize = new QuantileSketch();
  readonly #queueLength = new QuantileSketch();
  readonly #waitMs = new QuantileSketch();
  readonly #runMs = new QuantileSketch();
  readonly #latencyMs = new QuantileSketch();
  readonly #rate = new RateMeter();
  #rejected = 0;

  constructor(clock: () => number) {
    this.#clock = clock;
    this.#since = clock();
  }

  rejected(): void {
    this.#rejected++;
  }

  started(batch: { readonly size: number; readonly queueLength: number; readonly waitMs: readonly number[] }): void {
    this.#batchSize.add(batch.size);
    this.#queueLength.add(batch.queueLength);
    for (const waitMs of batch.waitMs) this.#waitMs.add(waitMs);
  }

  finished({ runMs }: { readonly runMs: number }): void {
    this.#runMs.add(runMs);
  }

  settled(outcome: ItemOutcome, latencyMs: number): void {
    this.#outcomes[outcome]++;
    if (outcome !== 'answered') return;
    this.#latencyMs.add(latencyMs);
    this.#rate.add(1, this.#clock());
  }

  figures(waiting: number, running: number): DynamicFigures {
    const now = this.#clock();
    const seconds = (now - this.#since) / 1000;
    return {
      items: { ...this.#outcomes, rejected: this.#rejected, waiting },
      batches: this.#batchSize.count,
      running,
      answeredPerSecond: seconds > 0 ? this.#outcomes.answered / seconds : 0,
      answeredPerSecondRecently: this.#rate.perSecond(now),
      batchSize: this.#batchSize.summary(),
      queueLength: this.#queueLength.summary(),
      waitMs: this.#waitMs.summary(),
      runMs: this.#runMs.summary(),
      latencyMs: this.#latencyMs.summary(),
    };
  }
}
