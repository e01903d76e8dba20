/** An answer of a server whose body may come slowly, but may not stop coming. */
export interface Transfer {
  readonly status: number;
  readonly headers: Headers;
  /** The body as it comes, once. @throws Error for a body that stalls or breaks off */
  chunks(): AsyncGenerator<Uint8Array, void, undefined>;
  /** Lets go of a body that is not read. */
  cancel(): Promise<void>;
}

/**
 * Sends a request and waits at most `stallMs` for the answer, and as long for each piece of its body.
 * Redirects are not followed.
 */
export async function openTransfer(
  url: URL,
  headers: Readonly<Record<string, string>>,
  { stallMs, signal }: { readonly stallMs: number; readonly signal: AbortSignal | undefined },
): Promise<Transfer> {
  const own = new AbortController();
  const within = async <T>(what: Promise<T>): Promise<T> => {
    const timer = setTimeout(() => own.abort(new Error(`nothing came for ${stallMs} ms`)), stallMs);
    try {
      return await what;
    } finally {
      clearTimeout(timer);
    }
  };
  const both = signal ? AbortSignal.any([signal, own.signal]) : own.signal;
  const response = await within(fetch(url, { headers, redirect: 'manual', signal: both }));
  return {
    status: response.status,
    headers: response.headers,
    async *chunks() {
      const reader = response.body?.getReader();
      if (!reader) return;
      try {
        for (;;) {
          const { done, value } = await within(reader.read());
          if (done) return;
          yield value;
        }
      } finally {
        // also where the consumer has had enough; what failed before is not told twice
        await reader.cancel().catch(() => {});
      }
    },
    cancel: async () => response.body?.cancel(),
  };
}
