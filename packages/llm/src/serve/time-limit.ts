import { FaultError } from './fault.ts';

/** What a request is done within: until somebody ends it, or it has taken too long. */
export interface TimeLimit {
  readonly signal: AbortSignal;
  /** Lets go of its timer and of the signals it hears. Idempotent. */
  end(): void;
}

/** @param signals that end the request, too, each with its reason */
export function timeLimit(milliseconds: number, signals: readonly AbortSignal[]): TimeLimit {
  const controller = new AbortController();
  const timer = setTimeout(
    () =>
      controller.abort(
        new FaultError({ status: 504, message: 'The request took longer than it may.', code: 'timeout' }),
      ),
    milliseconds,
  );
  (timer as { unref?: () => void }).unref?.();
  const heard = signals.map((signal) => {
    const tell = () => controller.abort(signal.reason);
    if (signal.aborted) tell();
    else signal.addEventListener('abort', tell, { once: true });
    return () => signal.removeEventListener('abort', tell);
  });
  return {
    signal: controller.signal,
    end() {
      clearTimeout(timer);
      for (const leave of heard) leave();
    },
  };
}

/** What comes first: the value, or the signal's reason. */
export async function before<T>(signal: AbortSignal, value: Promise<T>): Promise<T> {
  value.catch(() => {}); // one that lost is not heard
  let leave = () => {};
  const aborted = new Promise<never>((_, reject) => {
    const tell = () => reject(signal.reason);
    leave = () => signal.removeEventListener('abort', tell);
    if (signal.aborted) tell();
    else signal.addEventListener('abort', tell, { once: true });
  });
  try {
    return await Promise.race([value, aborted]);
  } finally {
    leave();
  }
}
