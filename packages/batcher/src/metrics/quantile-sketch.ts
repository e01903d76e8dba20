import { atLeast0, checkArgument, checkOptions, optional, type Rule, share } from '../checks.ts';

/** A summary of one kind of measurement, in the unit it was measured in. All but the counts are `NaN` where it is empty. */
export interface Summary {
  readonly count: number;
  readonly mean: number;
  readonly min: number;
  readonly max: number;
  readonly p50: number;
  readonly p90: number;
  readonly p95: number;
  readonly p99: number;
}

/** Smallest value told from 0, and largest told from infinity; in ms, from a nanosecond to thirty years. */
const SMALLEST = 1e-6;
const LARGEST = 1e12;

const ERROR: Rule = {
  what: 'a number between 0 and 1',
  holds: (value) => typeof value === 'number' && value > 0 && value < 1,
};

/**
 * Quantiles of a stream of values >= 0 in constant memory: counts in buckets that grow by a constant factor, so that
 * every quantile is within `relativeError` (default 0.01) of a value of that rank (DDSketch,
 * https://arxiv.org/abs/1908.10693). Count, sum, minimum and maximum are exact.
 *
 * @throws BatcherError ERR_ARGUMENT; so do its methods for what is no number, or none that they take
 */
export class QuantileSketch {
  readonly #factor: number;
  readonly #scale: number;
  readonly #offset: number;
  readonly #buckets: Float64Array;
  #count = 0;
  #sum = 0;
  #min = Number.POSITIVE_INFINITY;
  #max = 0;

  constructor(options: { readonly relativeError?: number } = {}) {
    checkOptions('QuantileSketch', options, { relativeError: optional(ERROR) });
    const { relativeError = 0.01 } = options;
    this.#factor = (1 + relativeError) / (1 - relativeError);
    this.#scale = 1 / Math.log(this.#factor);
    this.#offset = Math.ceil(Math.log(SMALLEST) * this.#scale);
    this.#buckets = new Float64Array(Math.ceil(Math.log(LARGEST) * this.#scale) - this.#offset + 1);
  }

  /** Values that came, by their weight. */
  get count(): number {
    return this.#count;
  }

  /** Their sum. */
  get sum(): number {
    return this.#sum;
  }

  /** Counts a value. @throws ArgumentError for a negative one */
  add(value: number): void {
    checkArgument('QuantileSketch.add', 'a value', value, atLeast0);
    this.#buckets[this.#bucket(value)]!++;
    this.#count++;
    this.#sum += value;
    if (value < this.#min) this.#min = value;
    if (value > this.#max) this.#max = value;
  }

  /**
   * Multiplies the weight of all that came so far, so that what comes next counts for more.
   * @throws ArgumentError for a factor outside of 0 to 1
   */
  fade(factor: number): void {
    checkArgument('QuantileSketch.fade', 'factor', factor, share);
    for (let i = 0; i < this.#buckets.length; i++) this.#buckets[i]! *= factor;
    this.#count *= factor;
    this.#sum *= factor;
  }

  /**
   * The value below which the share `q` (0 to 1) of the values lies; `NaN` where there is none.
   * @throws ArgumentError for a share outside of 0 to 1
   */
  quantile(q: number): number {
    checkArgument('QuantileSketch.quantile', 'q', q, share);
    if (this.#count === 0) return Number.NaN;
    let left = q * (this.#count - 1) + 1;
    for (let i = 0; i < this.#buckets.length; i++) {
      left -= this.#buckets[i]!;
      if (left < 1e-9) return Math.min(this.#max, Math.max(this.#min, this.#middle(i)));
    }
    return this.#max;
  }

  /** The share of the values that are at most `value`, within the sketch's error; 0 where there is none. */
  shareUpTo(value: number): number {
    checkArgument('QuantileSketch.shareUpTo', 'value', value, atLeast0);
    if (this.#count === 0) return 0;
    const last = this.#bucket(value);
    let below = 0;
    for (let i = 0; i <= last; i++) below += this.#buckets[i]!;
    return below / this.#count;
  }

  /** Count, mean, extremes and quantiles. */
  summary(): Summary {
    const empty = this.#count === 0;
    return {
      count: this.#count,
      mean: empty ? Number.NaN : this.#sum / this.#count,
      min: empty ? Number.NaN : this.#min,
      max: empty ? Number.NaN : this.#max,
      p50: this.quantile(0.5),
      p90: this.quantile(0.9),
      p95: this.quantile(0.95),
      p99: this.quantile(0.99),
    };
  }

  #bucket(value: number): number {
    if (value <= SMALLEST) return 0;
    return Math.min(this.#buckets.length - 1, Math.ceil(Math.log(value) * this.#scale) - this.#offset);
  }

  /** The value of bucket `i` with the smallest relative error at both of its ends. */
  #middle(i: number): number {
    return i === 0 ? 0 : (2 * Math.exp((i + this.#offset) / this.#scale)) / (1 + this.#factor);
  }
}
