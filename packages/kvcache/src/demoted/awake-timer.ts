const parts = 4;

/**
 * Acts after a time in which an answer could have been heard. A thread that works for seconds hears nothing meanwhile, and the answer
 * is not late for that: such a stretch counts as a part of the time, however long it was.
 */
export class AwakeTimer {
  readonly #milliseconds: number;
  readonly #act: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(milliseconds: number, act: () => void) {
    this.#milliseconds = milliseconds;
    this.#act = act;
    this.renew();
  }

  /** Begins anew. */
  renew(): void {
    this.end();
    let left = parts;
    const tick = () => {
      if (--left > 0) this.#timer = setTimeout(tick, this.#milliseconds / parts);
      else this.#act();
    };
    this.#timer = setTimeout(tick, this.#milliseconds / parts);
  }

  /** Idempotent. */
  end(): void {
    clearTimeout(this.#timer);
  }
}
