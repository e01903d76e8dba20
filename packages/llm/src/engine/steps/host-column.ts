type Column = Int32Array | Float32Array | Uint32Array;

/**
 * Host values of steps, one after the other in the same memory: a step takes as many as it has rows. A run has read them when it
 * resolves, and the next step is laid out after that, so one array is enough.
 */
export class HostColumn<A extends Column> {
  readonly #all: A;
  readonly #views: (A | undefined)[] = [];

  constructor(all: A) {
    this.#all = all;
  }

  /** The first `length` values; the same view for the same length. */
  of(length: number): A {
    let view = this.#views[length];
    if (!view) {
      view = this.#all.subarray(0, length) as A;
      this.#views[length] = view;
    }
    return view;
  }
}
