/** Runs tasks one after the other in the order of the calls. */
export class CallQueue {
  #pending = 0;
  #tail: Promise<unknown> = Promise.resolve();

  /** Resolves when all that were given so far have ended. */
  get done(): Promise<unknown> {
    return this.#tail;
  }

  /** At once where none is waiting. */
  enqueue<T>(task: () => T | Promise<T>): Promise<T> {
    const before = this.#pending === 0 ? undefined : this.#tail;
    this.#pending++;
    let done!: () => void;
    this.#tail = new Promise<void>((resolve) => {
      done = resolve;
    });
    return this.#call(task, before, done);
  }

  /** Awaits what it is given, and nothing awaits it but the caller: so stacks of errors and of leaks reach the caller. */
  async #call<T>(task: () => T | Promise<T>, before: Promise<unknown> | undefined, done: () => void): Promise<T> {
    try {
      if (before) await before;
      return await task();
    } finally {
      this.#pending--;
      done();
    }
  }

  /** Does what waits for nothing: at once where no call is under way, otherwise behind those that are. */
  after(task: () => void): void {
    if (this.#pending === 0) task();
    else void this.enqueue(task);
  }
}
