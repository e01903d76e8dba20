interface Entry<P> {
  readonly pair: P;
  readonly count: number;
}

/**
 * Gives the pair with the highest count. A pair whose count changes is pushed again; what was pushed with another count than
 * the pair has now is passed over.
 */
export class PairHeap<P extends { readonly count: number }> {
  readonly #entries: Entry<P>[] = [];
  readonly #wins: (a: Entry<P>, b: Entry<P>) => boolean;

  /** @param wins whether `a` comes before `b`, where their counts are equal */
  constructor(wins: (a: Entry<P>, b: Entry<P>) => boolean) {
    this.#wins = (a, b) => (a.count === b.count ? wins(a, b) : a.count > b.count);
  }

  push(pair: P, count: number): void {
    const entries = this.#entries;
    let at = entries.push({ pair, count }) - 1;
    while (at > 0) {
      const above = (at - 1) >> 1;
      if (!this.#wins(entries[at]!, entries[above]!)) return;
      this.#swap(at, above);
      at = above;
    }
  }

  pop(): P | undefined {
    for (;;) {
      const top = this.#entries[0];
      if (!top) return undefined;
      const last = this.#entries.pop()!;
      if (this.#entries.length > 0) {
        this.#entries[0] = last;
        this.#sink();
      }
      if (top.count === top.pair.count) return top.pair;
    }
  }

  #sink(): void {
    const entries = this.#entries;
    let at = 0;
    for (;;) {
      let best = at;
      for (const below of [2 * at + 1, 2 * at + 2])
        if (below < entries.length && this.#wins(entries[below]!, entries[best]!)) best = below;
      if (best === at) return;
      this.#swap(at, best);
      at = best;
    }
  }

  #swap(i: number, j: number): void {
    const entries = this.#entries;
    [entries[i], entries[j]] = [entries[j]!, entries[i]!];
  }
}
