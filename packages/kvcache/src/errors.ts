import { HeddleError } from '@heddle/tensor';

/** The cache's bookkeeping is inconsistent: a defect, never the caller's fault. */
export class CacheIntegrityError extends HeddleError {
  constructor(message: string) {
    super('ERR_CACHE_INTEGRITY', message);
    this.name = 'CacheIntegrityError';
  }
}

/** A cache has no room for another sequence. Code `ERR_CACHE_FULL`. */
export class CacheFullError extends HeddleError {
  constructor(message: string) {
    super('ERR_CACHE_FULL', message);
    this.name = 'CacheFullError';
  }
}

/** Tokens were asked for that a cache has evicted, or that its store has lost. Code `ERR_KV_EVICTED`. */
export class EvictedTokensError extends HeddleError {
  /** Positions [start, end) that are not there, ascending. */
  readonly missing: readonly (readonly [start: number, end: number])[];

  constructor(message: string, missing: readonly (readonly [start: number, end: number])[]) {
    super('ERR_KV_EVICTED', message);
    this.name = 'EvictedTokensError';
    this.missing = missing;
  }
}

/** A format of rows that nobody has measured on the model, or that changes too much of what it says. */
export class CacheFormatError extends HeddleError {
  constructor(message: string) {
    super('ERR_KV_FORMAT', message);
  }
}
