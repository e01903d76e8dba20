import type { BufferPool, DeviceBuffer } from './buffers.ts';

/**
 * The buffers in which all plans of a device keep what lives only during a run. Plan buffer i is arena buffer i; where a
 * plan needs a larger one, it is replaced, and plans with the old one bind anew.
 */
export class Arena {
  readonly #pool: BufferPool;
  readonly #slots: { readonly buffer: DeviceBuffer; readonly release: () => void }[] = [];
  #generation = 0;
  #plans = 0;

  constructor(pool: BufferPool) {
    this.#pool = pool;
  }

  /** Changes when a buffer is replaced. */
  get generation(): number {
    return this.#generation;
  }

  buffer(slot: number): DeviceBuffer {
    return this.#slots[slot]!.buffer;
  }

  /** Counts a plan that runs in the arena; with the last one its buffers go. */
  join(): () => void {
    this.#plans++;
    let left = false;
    return () => {
      if (left) return;
      left = true;
      if (--this.#plans === 0) this.dispose();
    };
  }

  /** Bytes by which the arena would grow to hold `sizes` (largest first). */
  missing(sizes: readonly number[]): number {
    return sizes.reduce((sum, bytes, i) => sum + Math.max(0, bytes - (this.#slots[i]?.buffer.byteLength ?? 0)), 0);
  }

  /**
   * Makes the arena large enough for `sizes` (largest first).
   * @throws OutOfMemoryError, then nothing has changed
   */
  reserve(sizes: readonly number[]): void {
    const small = sizes.flatMap((bytes, i) => ((this.#slots[i]?.buffer.byteLength ?? 0) < bytes ? [{ i, bytes }] : []));
    const taken: (() => void)[] = [];
    // the budget is asked for the difference alone: the old buffers go when the new ones come
    try {
      for (const { i, bytes } of small) {
        this.#pool.check(bytes, 'activations');
        taken.push(this.#pool.take(bytes - (this.#slots[i]?.buffer.byteLength ?? 0), 'activations'));
      }
    } catch (refusal) {
      for (const giveBack of taken) giveBack();
      throw refusal;
    }
    if (small.some(({ i }) => i < this.#slots.length)) this.#generation++;
    small.forEach(({ i, bytes }, k) => {
      const old = this.#slots[i];
      if (old) this.#pool.destroy(old.buffer.gpu);
      const release = taken[k]!;
      this.#slots[i] = {
        buffer: this.#pool.create(bytes),
        release: () => {
          old?.release();
          release();
        },
      };
    });
  }

  dispose(): void {
    for (const { buffer, release } of this.#slots) {
      this.#pool.destroy(buffer.gpu);
      release();
    }
    this.#slots.length = 0;
    this.#generation++;
  }
}
