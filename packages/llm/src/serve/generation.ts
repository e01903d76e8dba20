import { collect, generateAll } from './answers.ts';
import { eventBody, eventHeaders } from './event-stream.ts';
import { faultOf, refuse } from './fault.ts';
import type { Job } from './job.ts';
import { type Handler, json, modelOf, type Parts } from './server-parts.ts';

/** A handler that generates what a body asks for, as one answer or as a stream of events. */
export function generation(parts: Parts, make: (body: unknown) => Job): Handler {
  const { admission, guard, metrics, options } = parts;
  return async (asked) => {
    const admitted = admission.enter(asked.key);
    let kept = false;
    try {
      const made = make(await guard.readJson(asked.context.req.raw));
      const model = modelOf(parts, asked, made.model);
      const tenant = (options.keys?.length ?? 0) > 1 ? { tenant: `key ${asked.key}` } : {};
      const requests = made.requests.map((request) => ({ ...request, ...tenant }));
      const left = new AbortController();
      const timeout = AbortSignal.timeout(options.requestTimeoutMs ?? 600_000);
      const signal = AbortSignal.any([admitted.signal, asked.context.req.raw.signal, left.signal, timeout]);
      const generated = metrics.counted(made.model, generateAll(model, requests, signal));
      if (!made.stream) return json(made.whole(await collect(timed(generated, timeout), requests.length)));
      const begun = await beginning(timed(generated, timeout));
      kept = true;
      const events = guarded(made, begun, (error) => {
        asked.error = error;
      });
      const body = eventBody(events, {
        onLeft: (reason) => left.abort(reason),
        onEnd: () => admitted.leave(),
        signal: asked.context.req.raw.signal,
        stallMs: options.stallTimeoutMs ?? 60_000,
      });
      return new Response(body, { headers: eventHeaders });
    } finally {
      if (!kept) admitted.leave();
    }
  };
}

/** What a time-out is called by those who hear of it. */
async function* timed<T>(parts: AsyncIterable<T>, timeout: AbortSignal): AsyncGenerator<T, undefined> {
  try {
    yield* parts;
  } catch (error) {
    if (timeout.aborted && error === timeout.reason)
      refuse(504, 'The request took longer than it may.', { code: 'timeout' });
    throw error;
  }
  return undefined;
}

/** The same parts, of which the first that is generated has come: what is refused before it gets a status of its own. */
async function beginning<T extends { readonly part: { readonly type: string } }>(
  parts: AsyncGenerator<T, undefined>,
): Promise<AsyncGenerator<T, undefined>> {
  const first: T[] = [];
  for (;;) {
    const next = await parts.next();
    if (next.done) break;
    first.push(next.value);
    if (next.value.part.type !== 'start') break;
  }
  return (async function* () {
    try {
      yield* first;
      yield* parts;
    } finally {
      await parts.return(undefined);
    }
    return undefined;
  })();
}

/** The events of a stream; a failure in its middle is one, too. */
async function* guarded(
  job: Job,
  parts: Parameters<Job['events']>[0],
  failed: (error: unknown) => void,
): AsyncGenerator<string, undefined> {
  try {
    yield* job.events(parts);
  } catch (error) {
    failed(error);
    yield job.failed(faultOf(error));
  }
  return undefined;
}
