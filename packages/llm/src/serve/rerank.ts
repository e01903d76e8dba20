import { z } from 'zod';
import { rankWith } from './models/served-calls.ts';
import type { ServedModel } from './models/served-model.ts';
import { checked, present } from './schema.ts';

const schema = z.looseObject({
  model: z.string(),
  query: z.string(),
  documents: z
    .array(z.union([z.string(), z.looseObject({ text: z.string() })], { error: 'takes texts, or { text }' }))
    .min(1)
    .max(1024),
  top_n: z.int().min(1).nullish(),
  return_documents: z.boolean().nullish(),
  instruction: z.string().nullish(),
});

/** The body of `POST /v1/rerank`. */
export const rerankBody: z.ZodType = schema;

/** Documents as Cohere's and Jina's APIs rank them. @throws FaultError 400 */
export async function rerank(
  value: unknown,
  modelOf: (id: string) => ServedModel,
  signal: AbortSignal,
): Promise<object> {
  const body = checked(schema, value);
  const texts = body.documents.map((each) => (typeof each === 'string' ? each : each.text));
  const request = { query: body.query, documents: texts, ...present({ instruction: body.instruction }) };
  const { documents, tokens } = await rankWith(modelOf(body.model), request, signal);
  return {
    id: `rerank-${crypto.randomUUID().replaceAll('-', '')}`,
    model: body.model,
    results: documents.slice(0, body.top_n ?? documents.length).map(({ index, score }) => ({
      index,
      relevance_score: score,
      ...(body.return_documents && { document: { text: texts[index]! } }),
    })),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}
