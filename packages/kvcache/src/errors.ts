import { HeddleError } from '@heddle/tensor';

/** The cache's own books do not balance: a defect, never the caller's fault. */
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
