/** What there is to say of a model's files: one line each, in the order in which it was found. */
export class Notes {
  readonly #all: string[] = [];
  readonly #deviations: string[] = [];

  /** Everything. */
  get all(): readonly string[] {
    return this.#all;
  }
  /** Those on what gives other results than the files, or transformers with them, would. */
  get deviations(): readonly string[] {
    return this.#deviations;
  }

  /** Says what changes no result. */
  add(text: string): void {
    this.#all.push(text);
  }
  /** Says what changes results. */
  deviate(text: string): void {
    this.#all.push(text);
    this.#deviations.push(text);
  }
}
