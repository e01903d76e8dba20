import type { Hono } from 'hono';
import type { BlankEnv } from 'hono/types';
import { Admission } from './admission.ts';
import { Guard } from './guard.ts';
import { ServerMetrics } from './metrics.ts';
import { normalized, standardNormalizers } from './models/normalizers.ts';
import type { ServedModel } from './models/served-model.ts';
import { routes } from './routes.ts';
import type { ServerOptions } from './server-options.ts';
import type { Parts } from './server-parts.ts';

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

/** A server of models that compute somewhere: it loads nothing that computes. */
export function serverOf(models: readonly ServedModel[], options: ServerOptions): HeddleServer {
  const { normalizers = standardNormalizers } = options;
  const served = models.map((model) => normalized(model, normalizers));
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
