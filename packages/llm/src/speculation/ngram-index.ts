/** Places that are looked at for the longest match. */
const maxPlaces = 16;

/** Where each run of `size` tokens of one growing sequence has occurred. */
export class NgramIndex {
  readonly #size: number;
  readonly #longest: number;
  /** By hash: the last place behind such a run. */
  readonly #last = new Map<number, number>();
  /** By place: the place before with the same hash, or -1. */
  readonly #before: number[] = [];
  #indexed = 0;

  constructor(size: number, longest: number) {
    this.#size = size;
    this.#longest = longest;
  }

  /** At most `count` tokens that followed the last occurrence of the longest run that the sequence ends in; none where there is none. */
  continuation(tokens: readonly number[], count: number): number[] {
    const end = tokens.length;
    // the run at the end has nothing behind it yet
    for (; this.#indexed < end - 1; this.#indexed++) this.#add(tokens, this.#indexed + 1);
    if (end < this.#size) return [];
    let [best, length] = [-1, this.#size - 1];
    let place = this.#last.get(this.#hash(tokens, end)) ?? -1;
    for (let i = 0; place >= 0 && i < maxPlaces && length < this.#longest; i++) {
      const same = this.#matching(tokens, place, end);
      if (same > length) [best, length] = [place, same];
      place = this.#before[place]!;
    }
    if (best < 0) return [];
    const found: number[] = [];
    // where it runs into the end of the text it goes on with what it guessed: the text repeats itself
    for (let i = 0; i < count; i++) found.push(tokens[best + i] ?? found[best + i - end]!);
    return found;
  }

  #add(tokens: readonly number[], end: number): void {
    if (end < this.#size) {
      this.#before[end] = -1;
      return;
    }
    const hash = this.#hash(tokens, end);
    this.#before[end] = this.#last.get(hash) ?? -1;
    this.#last.set(hash, end);
  }

  #hash(tokens: readonly number[], end: number): number {
    let hash = 0;
    for (let i = end - this.#size; i < end; i++) hash = Math.imul(hash, 0x01000193) ^ (tokens[i]! + 0x9e3779b9);
    return hash;
  }

  /** How many tokens before two places are the same, up to the longest that counts. */
  #matching(tokens: readonly number[], a: number, b: number): number {
    let same = 0;
    while (same < this.#longest && same < a && tokens[a - 1 - same] === tokens[b - 1 - same]) same++;
    return same;
  }
}
