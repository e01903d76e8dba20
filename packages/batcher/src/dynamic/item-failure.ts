import { BatcherError } from '../errors.ts';

const brand = Symbol.for('heddle.batcher.failed');

/** Stands in a batch's results for an item that failed while the others did not. */
export interface Failed {
  readonly reason: unknown;
}

/** `return items.map((item) => (bad(item) ? failed(new Error('...')) : answer(item)))`: fails only this item. */
export function failed(reason: unknown): Failed {
  const value = { reason: reason ?? new BatcherError('ERR_RUN', 'dynamicBatcher: an item failed without saying why') };
  Object.defineProperty(value, brand, { value: true });
  return value;
}

/** Whether a result stands for a failed item. */
export function isFailed(value: unknown): value is Failed {
  return typeof value === 'object' && value !== null && brand in value;
}
