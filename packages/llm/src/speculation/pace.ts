/** Steps with drafts before it is known what they cost, after which one goes without to find out. */
const trials = 4;
/**
 * What drafts may lose, in steps without, before it is said that they do not pay: what so many steps cost of which no guess is right,
 * within bounds. More when they are first tried.
 */
const first = { steps: 4, least: 2, most: 6 };
const later = { steps: 2, least: 1, most: 3 };
const shortestRest = 32;
const longestRest = 1024;
/** Tokens without drafts that are enough to see what they take: the first is not counted, those in flight come sooner or later. */
const look = 8;

/** What drafts cost: `StepCosts` as an engine measures them. */
export interface DraftCosts {
  /** Of a step with so many drafts, more than of one without, in steps without. Undefined while it is not known. */
  cost(drafts: number): number | undefined;
  /** Of the first step without drafts after one with, more than of others. */
  readonly refill: number;
  /** Whether somebody should go without drafts, so that it is seen what that takes. */
  readonly unknown: boolean;
}

/** How many tokens are guessed of a sequence, by how many guesses were right: more while they are, none for a while where it does not pay. */
export class Pace {
  readonly #most: number;
  readonly #costs: DraftCosts;
  #length: number;
  #steps = 0;
  /** Whether any of them had a cost that was known. */
  #priced = false;
  /** What drafts have cost more than they gave, in steps without, since they last were worth it. */
  #loss = 0;
  #patience = first;
  #rest = shortestRest;
  /** Tokens until it is tried again. */
  #resting = 0;
  #verifies = false;

  constructor(most: number, costs: DraftCosts) {
    this.#most = most;
    this.#costs = costs;
    this.#length = Math.min(4, most);
  }

  /** Most tokens to guess next; 0 while it rests. */
  get length(): number {
    return this.#resting > 0 ? 0 : this.#length;
  }

  /** Whether the last step had drafts. */
  get verifies(): boolean {
    return this.#verifies;
  }

  /** A step without drafts gave tokens. */
  passed(tokens: number): void {
    if (this.#verifies && this.#priced) this.#loss += this.#costs.refill;
    this.#verifies = false;
    this.#resting = Math.max(0, this.#resting - tokens);
  }

  /** A step had `drafts` drafts, of which the first `right` were. */
  verified(drafts: number, right: number): void {
    this.#verifies = true;
    this.#length = right === drafts ? Math.min(this.#most, Math.max(this.#length, 2 * drafts)) : right + 1;
    this.#steps++;
    const cost = this.#costs.cost(drafts);
    if (cost !== undefined) {
      this.#priced = true;
      this.#loss = Math.max(0, this.#loss + cost - right);
    }
    const { steps, least, most } = this.#patience;
    if (this.#loss > Math.min(most, Math.max(least, steps * (cost ?? 0)))) this.#giveUp();
    else if (this.#steps >= trials && (!this.#priced || this.#costs.unknown)) this.#resting = look;
    else if (this.#steps >= trials && this.#loss === 0) this.#rest = shortestRest;
  }

  #giveUp(): void {
    this.#resting = this.#rest;
    this.#rest = Math.min(longestRest, 2 * this.#rest);
    // a short trial when it comes back
    this.#steps = 0;
    this.#loss = 0;
    this.#patience = later;
    this.#length = Math.min(2, this.#most);
  }
}
