import { TrimmedMean } from './trimmed-mean.ts';

/** Times that a mean is of. */
const window = 15;
/** Times of steps with so many drafts before they count: any of the first ones may have waited for a kernel to be made. */
const enough = 3;
/** Steps with drafts since the last one without, after which it is no longer known what that takes. */
const stale = 256;

/**
 * What steps of an engine take with drafts and without, as measured: the time between the tokens of a sequence, whatever runs
 * beside it. A step with drafts takes longer because it has more rows, because the host waits for its result, and because the device
 * has nothing in flight behind it when the next step goes without.
 */
export class StepCosts {
  readonly #plain = new TrimmedMean(window);
  readonly #byDrafts = new Map<number, TrimmedMean>();
  readonly #refilling = new TrimmedMean(window);
  #sincePlain = 0;

  /** A step without drafts, behind another of its sequence, took so long. */
  plain(ms: number): void {
    this.#plain.add(ms);
    this.#sincePlain = 0;
  }

  /** A step with drafts took so long. */
  verified(drafts: number, ms: number): void {
    let own = this.#byDrafts.get(drafts);
    if (!own) {
      own = new TrimmedMean(window);
      this.#byDrafts.set(drafts, own);
    }
    own.add(ms);
    this.#sincePlain++;
  }

  /** The first step without drafts after one with took so long. */
  refilled(ms: number): void {
    this.#refilling.add(ms);
  }

  /**
   * What a step with so many drafts costs more than one without, in steps without; where it is not known yet, what the next larger
   * number costs that is, or else the next smaller. Undefined while none is known.
   */
  cost(drafts: number): number | undefined {
    let [nearest, found]: [number, TrimmedMean | undefined] = [Number.NaN, undefined];
    for (const [count, mean] of this.#byDrafts) {
      if (mean.count < enough) continue;
      const isNearer = nearest < drafts ? count > nearest : count >= drafts && count < nearest;
      if (!found || isNearer) [nearest, found] = [count, mean];
    }
    return found && this.#inSteps(found.value);
  }

  /** What the first step without drafts after one with costs more, in steps without. */
  get refill(): number {
    return this.#refilling.count < enough ? 0 : Math.max(0, this.#inSteps(this.#refilling.value) ?? 0);
  }

  /** Whether a step without drafts has to be measured before it can be told what pays. */
  get unknown(): boolean {
    return this.#plain.count < enough || this.#sincePlain >= stale;
  }

  #inSteps(ms: number): number | undefined {
    const more = ms / this.#plain.value - 1;
    return Number.isNaN(more) ? undefined : more;
  }
}
