/** Steps with drafts before it is judged whether they pay. */
const trials = 4;
/** How much of the mean the last step is. */
const weight = 0.25;
const shortestRest = 32;
const longestRest = 1024;

/** How many tokens are guessed of a sequence, by how many guesses were right: more while they are, none for a while where it does not pay. */
export class Pace {
  readonly #most: number;
  readonly #cost: (drafts: number) => number;
  #length: number;
  #steps = 0;
  /** Means over the last steps with drafts. */
  #right = 0;
  #spent = 0;
  #rest = shortestRest;
  /** Tokens until it is tried again. */
  #resting = 0;

  /** @param cost of a step with so many drafts, in steps without */
  constructor(most: number, cost: (drafts: number) => number) {
    this.#most = most;
    this.#cost = cost;
    this.#length = Math.min(4, most);
  }

  /** Most tokens to guess next; 0 while it rests. */
  get length(): number {
    return this.#resting > 0 ? 0 : this.#length;
  }

  /** A step without drafts gave tokens. */
  passed(tokens: number): void {
    this.#resting = Math.max(0, this.#resting - tokens);
  }

  /** A step had `drafts` drafts, of which the first `right` were. */
  verified(drafts: number, right: number): void {
    this.#length = right === drafts ? Math.min(this.#most, Math.max(this.#length, 2 * drafts)) : right + 1;
    this.#steps++;
    const share = Math.max(weight, 1 / this.#steps);
    this.#right += share * (right - this.#right);
    this.#spent += share * (this.#cost(drafts) - this.#spent);
    if (this.#right > this.#spent) this.#rest = shortestRest;
    if (this.#steps < trials || this.#right > this.#spent) return;
    this.#resting = this.#rest;
    this.#rest = Math.min(longestRest, 2 * this.#rest);
    // a short trial when it comes back
    this.#steps = trials - 2;
    this.#length = Math.min(2, this.#most);
  }
}
