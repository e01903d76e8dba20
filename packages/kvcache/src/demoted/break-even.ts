/** How much of what is measured now counts against what was measured before. */
const share = 0.1;
/** Loading may take so much of the time of computing. */
const worthwhile = 0.8;
/** Of so many that would not be worth while one is tried, so that what has become faster is seen. */
const tryEvery = 32;

/** Bytes and seconds of what was loaded: a line through both, in moving averages. */
class LoadTimes {
  #weight = 0;
  #bytes = 0;
  #seconds = 0;
  #bytesSquared = 0;
  #product = 0;

  add(bytes: number, seconds: number): void {
    const keep = 1 - share;
    this.#weight = this.#weight * keep + 1;
    this.#bytes = this.#bytes * keep + bytes;
    this.#seconds = this.#seconds * keep + seconds;
    this.#bytesSquared = this.#bytesSquared * keep + bytes * bytes;
    this.#product = this.#product * keep + bytes * seconds;
  }

  /** Undefined before anything was measured. */
  seconds(bytes: number): number | undefined {
    if (this.#weight === 0) return undefined;
    const [meanBytes, meanSeconds] = [this.#bytes / this.#weight, this.#seconds / this.#weight];
    const variance = this.#bytesSquared / this.#weight - meanBytes ** 2;
    const covariance = this.#product / this.#weight - meanBytes * meanSeconds;
    const perByte = variance > 1e-6 * meanBytes ** 2 ? Math.max(0, covariance / variance) : 0;
    const latency = meanSeconds - perByte * meanBytes;
    // where all were of one size, or the line goes below nothing: as much a byte as on average
    if (perByte === 0 || latency < 0) return (meanSeconds / Math.max(1, meanBytes)) * bytes;
    return latency + perByte * bytes;
  }
}

/**
 * Whether tokens are loaded or computed again: by what both have taken so far, as moving averages. Before both were measured they
 * are loaded.
 */
export class BreakEven {
  readonly #loads: LoadTimes = new LoadTimes();
  #secondsPerToken: number | undefined;
  #refused = 0;

  computed(tokens: number, seconds: number): void {
    const each = seconds / tokens;
    this.#secondsPerToken =
      this.#secondsPerToken === undefined ? each : this.#secondsPerToken + share * (each - this.#secondsPerToken);
  }
  loaded(bytes: number, seconds: number): void {
    this.#loads.add(bytes, seconds);
  }

  /** How long loading takes; undefined before anything was measured. */
  seconds(bytes: number): number | undefined {
    return this.#loads.seconds(bytes);
  }

  /** @param more seconds that what is loaded takes besides */
  pays(tokens: number, bytes: number, more: number = 0): boolean {
    const loading = this.#loads.seconds(bytes);
    if (loading === undefined || this.#secondsPerToken === undefined) return true;
    if (loading + more <= worthwhile * this.#secondsPerToken * tokens) return true;
    this.#refused = (this.#refused + 1) % tryEvery;
    return this.#refused === 0;
  }
}

/** A step as it was submitted. */
export interface SubmittedStep {
  readonly rows: number;
  /** When, in milliseconds. */
  readonly since: number;
}

/** How long steps take that wait for those before them: each from the end of the last. */
export class StepTimes {
  #last: SubmittedStep | undefined;
  #end = Number.NEGATIVE_INFINITY;

  /** Seconds of a step whose results are there now; undefined where it was counted already. */
  ended(step: SubmittedStep, now: number): number | undefined {
    if (step === this.#last) return undefined;
    const seconds = (now - Math.max(step.since, this.#end)) / 1000;
    this.#last = step;
    this.#end = now;
    return seconds;
  }
}
