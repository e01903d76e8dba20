/** Events per second over the last `windowMs`, in constant memory. */
export class RateMeter {
  readonly #slotMs: number;
  readonly #slots: Float64Array;
  #start: number | undefined;
  #slot = 0;

  constructor(windowMs: number = 10_000, slots: number = 20) {
    this.#slotMs = windowMs / slots;
    this.#slots = new Float64Array(slots);
  }

  add(count: number, now: number): void {
    this.#start ??= now;
    this.#advance(now);
    this.#slots[this.#slot % this.#slots.length]! += count;
  }

  /** Per second; over the time since the first event where that is shorter than the window. */
  perSecond(now: number): number {
    if (this.#start === undefined) return 0;
    this.#advance(now);
    let sum = 0;
    for (const count of this.#slots) sum += count;
    const oldest = (this.#slot - this.#slots.length + 1) * this.#slotMs;
    const spanMs = Math.max(now - Math.max(oldest, this.#start), this.#slotMs);
    return (sum * 1000) / spanMs;
  }

  #advance(now: number): void {
    const slot = Math.floor(now / this.#slotMs);
    if (slot - this.#slot >= this.#slots.length) this.#slots.fill(0);
    else for (let i = this.#slot + 1; i <= slot; i++) this.#slots[i % this.#slots.length] = 0;
    if (slot > this.#slot) this.#slot = slot;
  }
}
