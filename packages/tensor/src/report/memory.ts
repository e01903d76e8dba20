import { ArgumentError, OutOfMemoryError } from '../checks/errors.ts';

/** Bytes of one owner. */
export interface Holder {
  readonly owner: string;
  readonly bytes: number;
}

/** Bytes that were taken and not given back, and where in the program that was. */
export interface HeldAllocation extends Holder {
  /** The calls that led to it, innermost first. */
  readonly site: string;
}

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
  readonly owners: readonly Holder[];
  /** Every allocation that is live, oldest first, on a device that was opened with `debug`. */
  readonly allocations: readonly HeldAllocation[] | undefined;
}

/** @throws ArgumentError for a budget that is no number of bytes, which would refuse nothing */
export function checkBudget(operation: string, budget: number | undefined): void {
  if (budget === undefined || (typeof budget === 'number' && budget >= 0)) return;
  throw new ArgumentError(`${operation}: memoryBudget must be a number of bytes, got ${String(budget)}`);
}

/** Counts a device's bytes by owner and refuses what the budget does not allow. */
export class MemoryAccount {
  readonly #budget: number | undefined;
  readonly #owners = new Map<string, number>();
  readonly #allocations: Set<HeldAllocation> | undefined;
  #live = 0;
  #peak = 0;

  /** @param debug whether to note where each allocation came from, which costs about 10 us each */
  constructor(budget?: number, debug = false) {
    if (budget !== undefined && !(budget >= 0))
      throw new ArgumentError(`memory: memoryBudget must be a number of bytes from 0, got ${budget}`);
    this.#budget = budget;
    this.#allocations = debug ? new Set() : undefined;
  }

  /** Takes `bytes` for `owner`; call the result to give them back, once. @throws OutOfMemoryError, then nothing was taken */
  take(bytes: number, owner: string): () => void {
    this.require(bytes, owner);
    this.#live += bytes;
    this.#peak = Math.max(this.#peak, this.#live);
    this.#owners.set(owner, (this.#owners.get(owner) ?? 0) + bytes);
    const noted = this.#allocations && { owner, bytes, site: callSite() };
    if (noted) this.#allocations.add(noted);
    let given = false;
    return () => {
      if (given) return;
      given = true;
      this.#live -= bytes;
      const left = (this.#owners.get(owner) ?? 0) - bytes;
      if (left > 0) this.#owners.set(owner, left);
      else this.#owners.delete(owner);
      if (noted) this.#allocations!.delete(noted);
    };
  }

  /** Takes nothing. @param what the bytes are for, where one name does not say it @throws OutOfMemoryError where `bytes` more do not fit */
  require(bytes: number, owner: string, what = ''): void {
    if (this.fits(bytes)) return;
    const holders = this.#sorted();
    const largest = holders.slice(0, 3).map((holder) => `${holder.owner}: ${holder.bytes}`);
    throw new OutOfMemoryError(
      `memory: ${owner} asked for ${bytes} bytes${what && ` (${what})`}; the budget is ${this.#budget}, of which ${this.#live} are held (${largest.join(', ') || 'nothing'})`,
      { requested: bytes, budget: this.#budget!, holders },
    );
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
      allocations: this.#allocations && [...this.#allocations],
    };
  }

  #sorted(): Holder[] {
    return [...this.#owners].map(([owner, bytes]) => ({ owner, bytes })).sort((a, b) => b.bytes - a.bytes);
  }
}

/** The calls that led to an allocation: the program's first, without those of this package and its like that stand before them. */
function callSite(): string {
  const errors: { stackTraceLimit?: number } = Error;
  const { stackTraceLimit: limit } = errors;
  // the executor's own frames come first: the ten that V8 gives would not reach the program's
  if (limit !== undefined) errors.stackTraceLimit = 40;
  const { stack = '' } = new Error('site');
  if (limit !== undefined) errors.stackTraceLimit = limit;
  const frames = stack
    .split('\n')
    .filter((line) => /^\s*at |@/.test(line))
    .map((frame) => frame.trim());
  const first = frames.findIndex((frame) => !isOurs(frame));
  return frames.slice(first < 0 ? 2 : first).join('\n');
}

/** Where this file is: what else is there is not the program's, but tests. */
const ownFolder = /^(.*\/)memory\.[jt]s/.exec(import.meta.url.replace(/^file:\/\//, ''))?.[1];

function isOurs(frame: string): boolean {
  if (/\.test\.[jt]s/.test(frame)) return false;
  if (!frame.includes('/') || frame.includes('node:internal')) return true; // the engine's own, such as Array.map
  return frame.includes('/node_modules/@heddle/') || (ownFolder !== undefined && frame.includes(ownFolder));
}
