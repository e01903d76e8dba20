import { collect, generateAll } from './answers.ts';
import { eventBody, eventHeaders } from './event-stream.ts';
import { FaultError, faultOf } from './fault.ts';
import type { Job } from './job.ts';
import { type FieldNames, withField } from './named-fields.ts';
import { type Handler, json, modelOf, type Parts } from './server-parts.ts';
import { before, timeLimit } from './time-limit.ts';

/** A handler that generates what a body asks for, as one answer or as a stream of events. */
export function generation(parts: Parts, make: (body: unknown) => Job): Handler {
  const { admission, guard, metrics, options } = parts;
  return async (asked) => {
    const admitted = admission.enter(asked.key);
    const left = new AbortController();
    const client = asked.context.req.raw.signal;
    const limit = timeLimit(options.requestTimeoutMs ?? 600_000, [admitted.signal, client, left.signal]);
    const end = () => {
      limit.end();
      admitted.leave();
    };
    let kept = false;
    let names: FieldNames | undefined;
    try {
      const made = make(await before(limit.signal, guard.readJson(asked.context.req.raw)));
      names = made.names;
      const model = modelOf(parts, asked, made.model);
      const tenant = (options.keys?.length ?? 0) > 1 ? { tenant: `key ${asked.key}` } : {};
      const requests = made.requests.map((request) => ({ ...request, ...tenant }));
      const generated = metrics.counted(made.model, generateAll(model, requests, limit.signal));
      if (!made.stream) return json(made.whole(await collect(generated, requests.length)));
      const begun = await beginning(generated);
      kept = true;
      const events = guarded(made, begun, (error) => {
        asked.error = error;
      });
      const body = eventBody(events, {
        onLeft: (reason) => left.abort(reason),
        onEnd: end,
        signal: client,
        stallMs: options.stallTimeoutMs ?? 60_000,
      });
      return new Response(body, { headers: eventHeaders });
    } catch (error) {
      throw names ? named(error, names) : error;
    } finally {
      if (!kept) end();
    }
  };
}

/** An error that says what is wrong with a request names the field; others stay as they are. */
export function named(error: unknown, names: FieldNames): unknown {
  const fault = faultOf(error);
  const told = withField(fault, names);
  return told === fault ? error : new FaultError(told, { cause: error });
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
    yield job.failed(withField(faultOf(error), job.names));
  }
  return undefined;
}
