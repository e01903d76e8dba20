import { ArgumentError } from '@heddle/tensor';

/**
 * Goes over `batches` again and again: `data: repeat([batch])` trains on one batch.
 * @throws ArgumentError for what is no iterable
 */
export function repeat<B>(batches: Iterable<B>): Generator<B, void, undefined> {
  if (typeof batches?.[Symbol.iterator] !== 'function')
    throw new ArgumentError(`repeat: takes a list or another iterable of batches, got ${typeof batches}`);
  return repeated(batches);
}

function* repeated<B>(batches: Iterable<B>): Generator<B, void, undefined> {
  for (;;) {
    let empty = true;
    for (const batch of batches) {
      empty = false;
      yield batch;
    }
    if (empty) return;
  }
}

export function isIterable(data: unknown): boolean {
  return typeof data === 'object' && data !== null && (Symbol.asyncIterator in data || Symbol.iterator in data);
}

/** One iterator for both kinds of data. */
export function iteratorOf<B>(data: Iterable<B> | AsyncIterable<B>): Iterator<B> | AsyncIterator<B> {
  return Symbol.asyncIterator in data ? data[Symbol.asyncIterator]() : data[Symbol.iterator]();
}

/** The value of `promise`, or the reason of `signal` where that aborts first. */
async function unlessAborted<T>(promise: T | PromiseLike<T>, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  if (!signal) return promise;
  let stop: (() => void) | undefined;
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop!);
  }
}

/** Lets an iterator free what it holds. One that was left in the middle of a wait is not waited for. */
export async function closed(batches: Iterator<unknown> | AsyncIterator<unknown>, signal?: AbortSignal): Promise<void> {
  const closing = Promise.resolve(batches.return?.());
  if (signal?.aborted) closing.catch(() => {});
  else await closing;
}

/** The next batches of a step, fewer or none where the data ends. */
export async function grouped<B>(
  batches: Iterator<B> | AsyncIterator<B>,
  count: number,
  signal: AbortSignal | undefined,
): Promise<{ readonly batches: readonly B[]; readonly ended: boolean }> {
  const taken: B[] = [];
  while (taken.length < count) {
    const next = await unlessAborted(batches.next(), signal);
    if (next.done) return { batches: taken, ended: true };
    taken.push(next.value);
  }
  return { batches: taken, ended: false };
}
