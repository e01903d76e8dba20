/** Text that came through, and the stop string that ended it. */
export interface Passed {
  readonly text: string;
  readonly stop: string | undefined;
}

/** Holds back text for as long as it may be the beginning of a string that ends the generation. */
export class StopStrings {
  readonly #stops: readonly string[];
  #held = '';

  /** @param stops none of them empty */
  constructor(stops: readonly string[]) {
    this.#stops = stops;
  }

  /**
   * Takes the next piece of text. The first stop string that is complete ends what comes through, and is left out itself; of
   * several that end together it is the longest.
   */
  push(piece: string): Passed {
    const text = this.#held + piece;
    let first = -1;
    let stop: string | undefined;
    for (const each of this.#stops) {
      const at = text.indexOf(each);
      if (at < 0) continue;
      const sooner = stop === undefined ? -1 : at + each.length - (first + stop.length);
      if (sooner > 0 || (sooner === 0 && at >= first)) continue;
      first = at;
      stop = each;
    }
    if (stop !== undefined) {
      this.#held = '';
      return { text: text.slice(0, first), stop };
    }
    const from = text.length - this.#pending(text);
    this.#held = text.slice(from);
    return { text: text.slice(0, from), stop: undefined };
  }

  /** What was held back, for nothing more comes. */
  finish(): string {
    const held = this.#held;
    this.#held = '';
    return held;
  }

  /** How much of the end of a text is the beginning of a stop string. */
  #pending(text: string): number {
    let most = 0;
    for (const stop of this.#stops)
      for (let length = Math.min(stop.length - 1, text.length); length > most; length--)
        if (text.endsWith(stop.slice(0, length))) most = length;
    return most;
  }
}
