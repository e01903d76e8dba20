import { ArgumentError, checkArguments } from '@heddle/tensor';
import { describe } from '../describe.ts';
import { type EmbeddingModel, isEmbeddingModel } from '../embedding/embedding-model.ts';
import { RankingModel } from '../embedding/ranking-model.ts';
import { notTextModel, type TextModel } from '../text/text-model.ts';
import { localEmbeddingModel, localRankingModel } from './models/local-embedding.ts';
import { localModel } from './models/local-model.ts';
import type { ServedModel } from './models/served-model.ts';
import { type HeddleServer, serverOf } from './server-of.ts';
import type { ServerOptions } from './server-options.ts';

/**
 * A server of models for the clients of OpenAI's and Anthropic's APIs, as a hono app.
 *
 * Requests come from this machine alone, unless `hosts` and `keys` say otherwise. Models stay the caller's.
 * @param models by name, as `openTextModel`, `openEmbeddingModel` and `openRankingModel` give them; or served ones, such as a `workerModel`
 * @throws ArgumentError
 * @example
 * import { serve } from '@hono/node-server';
 * const app = createServer({ prose4m: await openTextModel('node_modules/@heddle/prose4m') });
 * serve({ fetch: app.fetch, port: 8080, hostname: '127.0.0.1' });
 */
export function createServer(
  models: Readonly<Record<string, TextModel | EmbeddingModel | RankingModel>> | readonly ServedModel[],
  options: ServerOptions = {},
): HeddleServer {
  checkArguments('createServer', 'object', { options });
  return serverOf(servedModels(models), options);
}

function servedModels(models: unknown): readonly ServedModel[] {
  if (typeof models !== 'object' || models === null || Object.keys(models).length === 0)
    throw new ArgumentError(`createServer: takes models by name, got ${describe(models)}`);
  if (Array.isArray(models)) return models as ServedModel[];
  return Object.entries(models).map(([id, model]) => {
    if (model instanceof RankingModel) return localRankingModel(id, model);
    if (isEmbeddingModel(model)) return localEmbeddingModel(id, model);
    const wrong = notTextModel(model);
    if (wrong)
      throw new ArgumentError(`createServer: '${id}' must be a model, as openTextModel() gives one, got ${wrong}`);
    return localModel(id, model as TextModel);
  });
}
