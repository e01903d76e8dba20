import type { Context } from 'hono';
import type { Admission } from './admission.ts';
import { refuse } from './fault.ts';
import type { Guard } from './guard.ts';
import type { ServerMetrics } from './metrics.ts';
import type { ServedModel } from './models/served-model.ts';
import type { ServerOptions } from './server-options.ts';

/** What the routes of a server share. */
export interface Parts {
  readonly models: ReadonlyMap<string, ServedModel>;
  readonly guard: Guard;
  readonly admission: Admission;
  readonly metrics: ServerMetrics;
  readonly options: ServerOptions;
}

/** What a request is answered with while it is under way. */
export interface Asked {
  readonly context: Context;
  readonly requestId: string;
  readonly key: number;
  model?: string;
  error?: unknown;
}

export type Handler = (asked: Asked) => Promise<Response> | Response;

export const json = (value: object): Response => Response.json(value);

/** The model that a request names. @throws FaultError where there is none, or it is not ready */
export function modelOf({ models }: Parts, asked: Asked, id: string): ServedModel {
  const model = models.get(id);
  if (!model)
    refuse(404, `model: there is no '${id.slice(0, 100)}'; this server has ${[...models.keys()].join(', ')}.`, {
      param: 'model',
      code: 'model_not_found',
    });
  asked.model = id;
  if (!model.ready) refuse(503, `model: '${id}' is not ready yet.`, { code: 'model_not_ready', retryAfterSeconds: 2 });
  return model;
}
