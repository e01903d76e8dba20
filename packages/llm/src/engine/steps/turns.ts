/** Runs tasks one after the other, in the order of the calls; one that fails does not hold up the next. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  run<T>(task: () => T | Promise<T>): Promise<T> {
    const result = this.#last.then(task);
    this.#last = result.then(nothing, nothing);
    return result;
  }

  /** When everything that was asked for so far is done. */
  get settled(): Promise<unknown> {
    return this.#last;
  }
}

const nothing = (): void => {};
