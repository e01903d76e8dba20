import { ArgumentError } from '@heddle/tensor';
import { type Context, Hono } from 'hono';
import type { BlankEnv } from 'hono/types';
import { describe } from '../check-options.ts';
import { notTextModel, type TextModel } from '../text/text-model.ts';
import { Admission, type AdmissionOptions } from './admission.ts';
import { collect, generateAll } from './answers.ts';
import { anthropicError } from './anthropic/errors.ts';
import { countTokens, messagesJob } from './anthropic/messages.ts';
import { eventBody, eventHeaders } from './event-stream.ts';
import { type Fault, FaultError, faultOf, refuse, stopping } from './fault.ts';
import { Guard, type GuardOptions } from './guard.ts';
import type { Job } from './job.ts';
import { localModel } from './local-model.ts';
import { ServerMetrics } from './metrics.ts';
import { chatJob } from './openai/chat.ts';
import { completionJob } from './openai/completions.ts';
import { openAiError } from './openai/errors.ts';
import { responseJob } from './openai/responses.ts';
import { seconds } from './openai/shared.ts';
import { openApi } from './openapi.ts';
import type { ServedModel } from './served-model.ts';
import { detokenize, tokenize } from './tokenize.ts';

/** How a server answers. */
export interface ServerOptions extends GuardOptions, AdmissionOptions {
  /** How long a request may take, in milliseconds. Default 10 minutes. */
  readonly requestTimeoutMs?: number;
  /** How long a client may take to read what was sent, in milliseconds. Default a minute. */
  readonly stallTimeoutMs?: number;
  /** Told of every response; it holds nothing of prompts and answers. */
  readonly log?: (entry: LogEntry) => void;
}

/** What there is to say of a request. */
export interface LogEntry {
  readonly time: string;
  readonly requestId: string;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly ms: number;
  readonly model?: string;
  /** Why it failed, where that is not the client's doing. */
  readonly error?: string;
}

/** A server: a hono app that can be mounted anywhere, and its end. */
export type HeddleServer = Hono<BlankEnv> & {
  /** Requests under way. */
  readonly running: number;
  /**
   * Takes no more requests, waits for those under way, and aborts them after `graceMs`. The models stay the caller's.
   * @returns how many were aborted
   */
  stop(graceMs?: number): Promise<number>;
};

/**
 * A server of models for the clients of OpenAI's and Anthropic's APIs, as a hono app.
 *
 * Requests come from this machine alone, unless `hosts` and `keys` say otherwise. Models stay the caller's.
 * @param models by name, as `openTextModel` gives them; or served ones, such as a `workerModel`
 * @throws ArgumentError
 * @example
 * import { serve } from '@hono/node-server';
 * const app = createServer({ prose4m: await openTextModel('node_modules/@heddle/prose4m') });
 * serve({ fetch: app.fetch, port: 8080, hostname: '127.0.0.1' });
 */
export function createServer(
  models: Readonly<Record<string, TextModel>> | readonly ServedModel[],
  options: ServerOptions = {},
): HeddleServer {
  const served = servedModels(models);
  const parts: Parts = {
    models: new Map(served.map((model) => [model.id, model])),
    guard: new Guard(options),
    admission: new Admission(options, options.keys?.length ?? 0),
    metrics: new ServerMetrics(served),
    options,
  };
  const { admission } = parts;
  const app = Object.assign(routes(parts), { stop: (graceMs = 10_000) => admission.stop(graceMs) });
  return Object.defineProperty(app, 'running', { get: () => admission.running }) as HeddleServer;
}

interface Parts {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly guard: Guard;
  readonly admission: Admission;
  readonly metrics: ServerMetrics;
  readonly options: ServerOptions;
}

/** What a request is answered with while it is under way. */
interface Asked {
  readonly context: Context;
  readonly requestId: string;
  readonly key: number;
  model?: string;
  error?: unknown;
}

function servedModels(models: unknown): readonly ServedModel[] {
  if (typeof models !== 'object' || models === null || Object.keys(models).length === 0)
    throw new ArgumentError(`createServer: takes models by name, got ${describe(models)}`);
  if (Array.isArray(models)) return models as ServedModel[];
  return Object.entries(models).map(([id, model]) => {
    const wrong = notTextModel(model);
    if (wrong)
      throw new ArgumentError(`createServer: '${id}' must be a model, as openTextModel() gives one, got ${wrong}`);
    return localModel(id, model as TextModel);
  });
}

function routes(parts: Parts): Hono<BlankEnv> {
  const { models, guard, admission, metrics, options } = parts;
  const app = new Hono();
  type Handler = (asked: Asked) => Promise<Response> | Response;

  /** Runs a handler with the checks that every request passes, and tells its failures as the API of its path does. */
  const handle =
    (handler: Handler, open = false, known = true) =>
    async (context: Context): Promise<Response> => {
      const began = performance.now();
      const requestId = requestIdOf(context.req.raw);
      const asked: Asked = { context, requestId, key: 0 };
      let response: Response;
      try {
        guard.checkSource(context.req.raw);
        const key = open ? 0 : await guard.checkKey(context.req.raw);
        response = await handler(Object.assign(asked, { key }));
      } catch (error) {
        asked.error = error;
        if (context.req.raw.signal.aborted) response = new Response(null, { status: 499 });
        else response = failure(context, faultOf(error), requestId);
      }
      response.headers.set('x-request-id', requestId);
      response.headers.set('request-id', requestId);
      response.headers.set('x-content-type-options', 'nosniff');
      // paths of clients' own are no labels
      const path = known ? context.req.routePath : 'unknown';
      metrics.responded(path, response.status);
      options.log?.({
        time: new Date().toISOString(),
        requestId,
        method: context.req.method,
        path,
        status: response.status,
        ms: Math.round(performance.now() - began),
        ...(asked.model !== undefined && { model: asked.model }),
        ...(response.status >= 500 && asked.error !== undefined && { error: nameOf(asked.error) }),
      });
      return response;
    };

  const modelOf = (asked: Asked, id: string): ServedModel => {
    const model = models.get(id);
    if (!model)
      refuse(404, `model: there is no '${id.slice(0, 100)}'; this server has ${[...models.keys()].join(', ')}.`, {
        param: 'model',
        code: 'model_not_found',
      });
    asked.model = id;
    if (!model.ready)
      refuse(503, `model: '${id}' is not ready yet.`, { code: 'model_not_ready', retryAfterSeconds: 2 });
    return model;
  };
  const job =
    (make: (body: unknown) => Job): Handler =>
    async (asked) => {
      const admitted = admission.enter(asked.key);
      let kept = false;
      try {
        const made = make(await guard.readJson(asked.context.req.raw));
        const model = modelOf(asked, made.model);
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
  const answer =
    (make: (body: unknown, model: (id: string) => ServedModel) => Promise<object>): Handler =>
    async (asked) => {
      const admitted = admission.enter(asked.key);
      try {
        return json(await make(await guard.readJson(asked.context.req.raw), (id) => modelOf(asked, id)));
      } finally {
        admitted.leave();
      }
    };

  const created = seconds();
  const described = (id: string) => ({
    id,
    object: 'model',
    created,
    owned_by: 'heddle',
    max_model_len: models.get(id)!.maxSequenceTokens,
  });
  app.post('/v1/chat/completions', handle(job(chatJob)));
  app.post('/v1/responses', handle(job(responseJob)));
  app.post('/v1/completions', handle(job(completionJob)));
  app.post('/v1/messages', handle(job(messagesJob)));
  app.post('/v1/messages/count_tokens', handle(answer(countTokens)));
  app.post('/tokenize', handle(answer(tokenize)));
  app.post('/detokenize', handle(answer(detokenize)));
  app.get(
    '/v1/models',
    handle(() => json({ object: 'list', data: [...models.keys()].map(described) })),
  );
  app.get(
    '/v1/models/:id{.+}',
    handle((asked) => {
      const id = asked.context.req.param('id')!;
      if (!models.has(id))
        refuse(404, `model: there is no '${id.slice(0, 100)}'.`, { param: 'model', code: 'model_not_found' });
      return json(described(id));
    }),
  );
  app.get(
    '/health',
    handle(() => json({ status: 'ok' }), true),
  );
  app.get(
    '/ready',
    handle(() => {
      if (admission.isStopping) throw new FaultError(stopping);
      const waiting = [...models.values()].filter(({ ready }) => !ready).map(({ id }) => id);
      if (waiting.length > 0)
        refuse(503, `${waiting.join(', ')}: not ready yet.`, { code: 'model_not_ready', retryAfterSeconds: 2 });
      return json({ status: 'ready' });
    }, true),
  );
  app.get(
    '/metrics',
    handle(async () => {
      const { registry } = metrics;
      return new Response(await registry.metrics(), { headers: { 'content-type': registry.contentType } });
    }),
  );
  app.get(
    '/openapi.json',
    handle(() => json(openApi()), true),
  );
  app.notFound(
    handle(
      (asked) => {
        const { method, path } = asked.context.req;
        refuse(404, `There is no ${method} ${path.slice(0, 200)}.`, { code: 'not_found' });
      },
      true,
      false,
    ),
  );
  return app;
}

const json = (value: object) => Response.json(value);

/** A failure as the API of the path tells it. */
function failure(context: Context, fault: Fault, requestId: string): Response {
  const isAnthropic = context.req.path.includes('/v1/messages');
  const body = isAnthropic ? anthropicError(fault, requestId) : openAiError(fault);
  const headers = fault.retryAfterSeconds === undefined ? {} : { 'retry-after': String(fault.retryAfterSeconds) };
  return Response.json(body, { status: fault.status, headers });
}

function requestIdOf(request: Request): string {
  const given = request.headers.get('x-request-id');
  return given && /^[\w.-]{1,128}$/.test(given) ? given : `req_${crypto.randomUUID().replaceAll('-', '')}`;
}

function nameOf(error: unknown): string {
  if (!(error instanceof Error)) return typeof error;
  const { code } = error as { readonly code?: unknown };
  return `${error.name}${typeof code === 'string' ? ` ${code}` : ''}: ${error.message.split('\n')[0]!.slice(0, 300)}`;
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
