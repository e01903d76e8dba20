const brand = Symbol.for('heddle.error');

/** What went wrong; stable, and what programs should test. */
export type BatcherErrorCode =
  /** The queue is full; `retryAfterMs` says when to come back. */
  | 'ERR_QUEUE_FULL'
  /** The request could never run: it needs more than the whole capacity. */
  | 'ERR_TOO_LARGE'
  /** A request with this id is still alive. */
  | 'ERR_DUPLICATE_ID'
  /** An argument is outside what a function takes. */
  | 'ERR_ARGUMENT'
  /** The deadline had passed before the work was done. */
  | 'ERR_DEADLINE'
  /** The batcher was closed before the work was done, or takes no more. */
  | 'ERR_CLOSED'
  /** `step`, `commit` and `discard` were called out of order, or with results that do not fit the plan. */
  | 'ERR_PROTOCOL'
  /** The capacity refused what it had promised. */
  | 'ERR_CAPACITY'
  /** `run` answered something other than one result per item. */
  | 'ERR_RUN';

/**
 * Base of every error that this package throws on purpose. The brand is a registered symbol, so `isBatcherError` works
 * across duplicate installs, where `instanceof` does not.
 */
export class BatcherError extends Error {
  readonly code: BatcherErrorCode;

  constructor(code: BatcherErrorCode, message: string, options: { readonly cause?: unknown } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.name = 'BatcherError';
    this.code = code;
    Object.defineProperty(this, brand, { value: true });
  }
}

/** A request was not taken. Nothing of it is kept. */
export class RejectedError extends BatcherError {
  /** Milliseconds after which trying again may succeed; `undefined` where it never will. */
  readonly retryAfterMs: number | undefined;

  constructor(code: BatcherErrorCode, message: string, retryAfterMs?: number) {
    super(code, message);
    this.name = 'RejectedError';
    this.retryAfterMs = retryAfterMs;
  }
}

/** Whether a value is an error of this package, of the given code where one is named. */
export function isBatcherError(value: unknown, code?: BatcherErrorCode): value is BatcherError {
  if (typeof value !== 'object' || value === null || !(brand in value) || !('code' in value)) return false;
  return code === undefined || value.code === code;
}
