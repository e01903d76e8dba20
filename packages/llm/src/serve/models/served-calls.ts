import { refuse } from '../fault.ts';
import type { Embedded, EmbedRequest, Ranked, RankRequest, ServedModel } from './served-model.ts';

/** @throws FaultError 400 for a model that does not embed */
export async function embedWith(model: ServedModel, request: EmbedRequest, signal: AbortSignal): Promise<Embedded> {
  if (!model.embed) refuse(400, 'model: this one gives no embeddings.', { param: 'model' });
  return model.embed(request, signal);
}

/** @throws FaultError 400 for a model that does not rank */
export async function rankWith(model: ServedModel, request: RankRequest, signal: AbortSignal): Promise<Ranked> {
  if (!model.rank) refuse(400, 'model: this one ranks no documents.', { param: 'model' });
  return model.rank(request, signal);
}
