/** Events of a stream as text: `data: …` with an empty line after it. */
export function event(data: unknown, name?: string): string {
  return `${name === undefined ? '' : `event: ${name}\n`}data: ${typeof data === 'string' ? data : JSON.stringify(data)}\n\n`;
}

export const eventHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/event-stream; charset=utf-8',
  'cache-control': 'no-cache, no-transform',
  'x-accel-buffering': 'no',
};

/** How events are sent. */
export interface SendOptions {
  /** The reader left, or did not read for too long. */
  readonly onLeft: (reason: unknown) => void;
  /** All was sent, or nothing more will be. Called once. */
  readonly onEnd: () => void;
  /** The request's own: aborted where its connection ends. */
  readonly signal: AbortSignal;
  /** How long a reader may take to read what was sent. */
  readonly stallMs: number;
}

/** Events as the body of a response, no faster than they are read. */
export function eventBody(
  events: AsyncIterator<string>,
  { onLeft, onEnd, stallMs, signal }: SendOptions,
): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let timer: ReturnType<typeof setTimeout> | undefined;
  let ended = false;
  const end = () => {
    clearTimeout(timer);
    if (ended) return;
    ended = true;
    signal.removeEventListener('abort', gone);
    onEnd();
  };
  let fail: (reason: unknown) => void = () => {};
  const leave = (reason: unknown) => {
    if (ended) return;
    onLeft(reason);
    end();
    events.return?.()?.catch(() => {}); // nobody hears of it
  };
  const gone = () => fail(signal.reason);
  return new ReadableStream<Uint8Array>(
    {
      start(controller) {
        fail = (reason) => {
          if (ended) return;
          leave(reason);
          controller.error(reason);
        };
        if (signal.aborted) gone();
        else signal.addEventListener('abort', gone, { once: true });
      },
      async pull(controller) {
        clearTimeout(timer);
        const next = await events.next();
        if (ended) return;
        if (next.done) {
          end();
          controller.close();
          return;
        }
        controller.enqueue(encoder.encode(next.value));
        timer = setTimeout(() => fail(new Error('the client does not read')), stallMs);
        (timer as { unref?: () => void }).unref?.();
      },
      cancel: leave,
    },
    { highWaterMark: 0 },
  );
}
