import { OutOfMemoryError } from './errors.ts';

/** Bytes that a device holds. `undefined` is what a runtime does not say. */
export interface MemoryReport {
  /** Bytes in use by tensors, variables and programs. */
  readonly live: number;
  /** The most that `live` has been. */
  readonly peak: number;
  /** Bytes kept for reuse, not in use now. */
  readonly pooled: number;
  /** The runtime's own arena, where it has one and does not say its size: undefined, never a guess. */
  readonly runtimeArena: number | undefined;
  /** The most that the device will hold, if a budget was set. */
  readonly budget: number | undefined;
  /** Live bytes by who holds them, largest first. */
  readonly owners: readonly { readonly owner: string; readonly bytes: number }[];
}

/** Counts a device's bytes by owner and refuses what the budget does not allow. */
export class MemoryAccount {
  readonly #budget: number | undefined;
  readonly #owners = new Map<string, number>();
  #live = 0;
  #peak = 0;

  constructor(budget?: number) {
    this.#budget = budget;
  }

  /** Takes `bytes` for `owner`; call the result to give them back, once. @throws OutOfMemoryError, then nothing was taken */
  take(bytes: number, owner: string): () => void {
    if (this.#budget !== undefined && this.#live + bytes > this.#budget)
      throw new OutOfMemoryError(
        `memory: ${owner} asked for ${bytes} bytes; the budget is ${this.#budget}, of which ${this.#live} are held (${this.#largest()})`,
      );
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + bytes);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#live -= bytes;
      const left = (this.#owners.get(owner) ?? 0) - bytes;
      if (left > 0) this.#owners.set(owner, left);
      else this.#owners.delete(owner);
    };
  }

  /** Whether `bytes` more are within the budget. */
  fits(bytes: number): boolean {
    return this.#budget === undefined || this.#live + bytes <= this.#budget;
  }

  report(extra: { readonly pooled?: number; readonly runtimeArena?: number } = {}): MemoryReport {
    return {
      live: this.#live,
      peak: this.#peak,
      pooled: extra.pooled ?? 0,
      runtimeArena: extra.runtimeArena,
      budget: this.#budget,
      owners: this.#sorted(),
    };
  }

  #sorted(): { owner: string; bytes: number }[] {
    return [...this.#owners].map(([owner, bytes]) => ({ owner, bytes })).sort((a, b) => b.bytes - a.bytes);
  }

  #largest(): string {
    const top = this.#sorted().slice(0, 3);
    return top.length === 0 ? 'nothing' : top.map(({ owner, bytes }) => `${owner}: ${bytes}`).join(', ');
  }
}
