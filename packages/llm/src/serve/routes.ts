import { Hono } from 'hono';
import type { BlankEnv } from 'hono/types';
import { countTokens, messagesJob, messagesNames } from './anthropic/messages.ts';
import { FaultError, refuse, stopping } from './fault.ts';
import { generation, named } from './generation.ts';
import { handlers } from './handle.ts';
import type { Job } from './job.ts';
import type { ServedModel } from './models/served-model.ts';
import { type FieldNames, usualNames } from './named-fields.ts';
import { chatJob } from './openai/chat.ts';
import { completionJob } from './openai/completions.ts';
import { embeddings } from './openai/embeddings.ts';
import { responseJob } from './openai/responses.ts';
import { seconds } from './openai/shared.ts';
import { openApi } from './openapi.ts';
import { pageHeaders } from './page.ts';
import { rerank } from './rerank.ts';
import { type Handler, json, modelOf, type Parts } from './server-parts.ts';
import { before, timeLimit } from './time-limit.ts';
import { detokenize, tokenize } from './tokenize.ts';

/** Every path of a server. */
export function routes(parts: Parts): Hono<BlankEnv> {
  const { models, guard, admission, metrics, options } = parts;
  const app = new Hono();
  const handle = handlers(parts);
  const job = (make: (body: unknown) => Job) => generation(parts, make);
  const answer =
    (
      make: (body: unknown, model: (id: string) => ServedModel, signal: AbortSignal) => Promise<object>,
      names: FieldNames = usualNames,
    ): Handler =>
    async (asked) => {
      const admitted = admission.enter(asked.key);
      const { raw } = asked.context.req;
      const { signal, end } = timeLimit(options.requestTimeoutMs ?? 600_000, [admitted.signal, raw.signal]);
      try {
        const body = await before(signal, guard.readJson(raw));
        return json(
          await before(
            signal,
            make(body, (id) => modelOf(parts, asked, id), signal),
          ),
        );
      } catch (error) {
        throw named(error, names);
      } finally {
        end();
        admitted.leave();
      }
    };

  for (const [path, file] of options.page ?? [])
    app.get(
      `/${path}`,
      handle(() => new Response(file.body, { headers: { ...pageHeaders, 'content-type': file.type } }), true),
    );

  const created = seconds();
  const described = (id: string) => ({
    id,
    object: 'model',
    created,
    owned_by: 'heddle',
    kind: models.get(id)!.kind ?? 'text',
    // one that was never open has not said
    ...(models.get(id)!.maxSequenceTokens > 0 && { max_model_len: models.get(id)!.maxSequenceTokens }),
  });
  app.post('/v1/chat/completions', handle(job(chatJob)));
  app.post('/v1/responses', handle(job(responseJob)));
  app.post('/v1/completions', handle(job(completionJob)));
  app.post('/v1/messages', handle(job(messagesJob)));
  app.post('/v1/messages/count_tokens', handle(answer(countTokens, messagesNames)));
  app.post('/v1/embeddings', handle(answer(embeddings, { ...usualNames, prompt: 'input' })));
  app.post('/v1/rerank', handle(answer(rerank, { ...usualNames, prompt: 'documents' })));
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
      const waiting = [...models.values()].filter(({ ready }) => !ready).length;
      // who has no key is told no names
      if (waiting > 0)
        refuse(503, `${waiting} of ${models.size} models: not ready yet.`, {
          code: 'model_not_ready',
          retryAfterSeconds: 2,
        });
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
