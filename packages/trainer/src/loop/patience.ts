import type { EarlyStopping } from './options.ts';

/** Counts evaluations that brought nothing better. */
export class Patience {
  readonly #options: EarlyStopping;
  #best = Number.POSITIVE_INFINITY;
  #worse = 0;

  constructor(options: EarlyStopping) {
    this.#options = options;
  }

  get over(): boolean {
    return this.#worse >= this.#options.patience;
  }

  /** Whether this loss is one too many that is no better. */
  isOver(loss: number): boolean {
    if (loss < this.#best - (this.#options.minDelta ?? 0)) {
      this.#best = loss;
      this.#worse = 0;
    } else this.#worse++;
    return this.over;
  }
}
