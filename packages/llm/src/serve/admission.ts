import { FaultError, stopping, tooMany } from './fault.ts';

/** How many requests may be under way. */
export interface AdmissionOptions {
  /** Requests under way, running and waiting; others get 429. Default 256. */
  readonly maxRequests?: number;
  /** Those of one key. Default half of all where there are several keys, otherwise all. */
  readonly maxRequestsPerKey?: number;
}

/** A request that was let in. */
export interface Admitted {
  /** Aborted when the server ends what is under way. */
  readonly signal: AbortSignal;
  /** Idempotent. */
  leave(): void;
}

/** Counts requests, turns away what is too many, and knows when all have ended. */
export class Admission {
  readonly #most: number;
  readonly #maxPerKey: number;
  readonly #byKey = new Map<number, number>();
  readonly #running = new Set<AbortController>();
  #stopping = false;
  #aborted = 0;
  readonly #emptied: (() => void)[] = [];

  constructor({ maxRequests = 256, maxRequestsPerKey }: AdmissionOptions, keys: number) {
    this.#most = maxRequests;
    this.#maxPerKey = maxRequestsPerKey ?? (keys > 1 ? Math.ceil(maxRequests / 2) : maxRequests);
  }

  get running(): number {
    return this.#running.size;
  }

  get isStopping(): boolean {
    return this.#stopping;
  }

  /** @throws FaultError 429 or 503 */
  enter(key: number): Admitted {
    if (this.#stopping) throw new FaultError(stopping);
    const own = this.#byKey.get(key) ?? 0;
    if (this.#running.size >= this.#most || own >= this.#maxPerKey) throw new FaultError(tooMany(1));
    this.#byKey.set(key, own + 1);
    const controller = new AbortController();
    this.#running.add(controller);
    const leave = () => {
      if (!this.#running.delete(controller)) return;
      const left = this.#byKey.get(key)! - 1;
      if (left > 0) this.#byKey.set(key, left);
      else this.#byKey.delete(key);
      if (this.#running.size === 0) for (const tell of this.#emptied.splice(0)) tell();
    };
    return { signal: controller.signal, leave };
  }

  /**
   * Takes no more, waits for what is under way, and aborts it after a time. May be called again, with less time.
   * @returns how many were aborted
   */
  async stop(graceMs: number): Promise<number> {
    this.#stopping = true;
    const timer = setTimeout(() => {
      for (const controller of this.#running) {
        if (!controller.signal.aborted) this.#aborted++;
        controller.abort(new FaultError(stopping));
      }
    }, graceMs);
    if (this.#running.size > 0) await new Promise<void>((resolve) => this.#emptied.push(resolve));
    clearTimeout(timer);
    return this.#aborted;
  }
}
