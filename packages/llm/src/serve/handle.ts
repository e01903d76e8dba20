import type { Context } from 'hono';
import { anthropicError } from './anthropic/errors.ts';
import { type Fault, faultOf } from './fault.ts';
import { openAiError } from './openai/errors.ts';
import type { Asked, Handler, Parts } from './server-parts.ts';

/**
 * Runs handlers with the checks that every request passes, and tells their failures as the API of the path does.
 * `open` ones need no key; those that are not `known` are of no path of the server's.
 */
export function handlers({ guard, metrics, options }: Parts) {
  return (handler: Handler, open = false, known = true) =>
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
}

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
