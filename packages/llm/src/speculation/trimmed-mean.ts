/** The mean of the last values without the largest and smallest quarter of them, so that a few that are far off change little. */
export class TrimmedMean {
  readonly #last: Float64Array;
  readonly #sorted: Float64Array;
  #count = 0;
  #next = 0;
  #value = Number.NaN;

  constructor(size: number) {
    this.#last = new Float64Array(size);
    this.#sorted = new Float64Array(size);
  }

  /** How many values it is of. */
  get count(): number {
    return this.#count;
  }

  /** NaN while there is none. */
  get value(): number {
    return this.#value;
  }

  add(value: number): void {
    this.#last[this.#next] = value;
    this.#next = (this.#next + 1) % this.#last.length;
    this.#count = Math.min(this.#last.length, this.#count + 1);
    const count = this.#count;
    for (let i = 0; i < count; i++) {
      const each = this.#last[i]!;
      let at = i;
      for (; at > 0 && this.#sorted[at - 1]! > each; at--) this.#sorted[at] = this.#sorted[at - 1]!;
      this.#sorted[at] = each;
    }
    const cut = count < 3 ? 0 : Math.max(1, Math.floor(count / 4));
    let sum = 0;
    for (let i = cut; i < count - cut; i++) sum += this.#sorted[i]!;
    this.#value = sum / (count - 2 * cut);
  }
}
