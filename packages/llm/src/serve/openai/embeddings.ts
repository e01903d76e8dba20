import { z } from 'zod';
import { refuse } from '../fault.ts';
import { embedWith } from '../models/served-calls.ts';
import type { ServedModel } from '../models/served-model.ts';
import { checked, present } from '../schema.ts';

const schema = z.looseObject({
  model: z.string(),
  input: z.union([z.string().min(1), z.array(z.string().min(1)).min(1).max(2048)], {
    error: 'takes a text, or a list of 1 to 2048 texts, none of them empty',
  }),
  encoding_format: z.enum(['float', 'base64']).nullish(),
  dimensions: z.int().min(1).nullish(),
  prompt: z.string().nullish(),
});

/** The body of `POST /v1/embeddings`. */
export const embeddingBody: z.ZodType = schema;

/** @throws FaultError 400 */
export async function embeddings(
  value: unknown,
  modelOf: (id: string) => ServedModel,
  signal: AbortSignal,
): Promise<object> {
  const body = checked(schema, value);
  const model = modelOf(body.model);
  const texts = typeof body.input === 'string' ? [body.input] : body.input;
  const { vectors, tokens } = await embedWith(model, { texts, ...present({ prompt: body.prompt }) }, signal);
  const size = vectors[0]!.length;
  const { dimensions } = body;
  if (dimensions && dimensions > size)
    refuse(400, `dimensions: this model has ${size}, got ${dimensions}.`, { param: 'dimensions' });
  return {
    object: 'list',
    model: body.model,
    data: vectors.map((vector, index) => {
      const wanted = dimensions && dimensions < size ? shortened(vector, dimensions) : vector;
      const embedding = body.encoding_format === 'base64' ? base64(wanted) : [...wanted];
      return { object: 'embedding', index, embedding };
    }),
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** The first values, with length 1 again. */
function shortened(vector: Float32Array, size: number): Float32Array {
  const first = vector.slice(0, size);
  const length = Math.hypot(...first);
  return length > 0 ? first.map((value) => value / length) : first;
}

/** The bytes of the values, the lowest first. */
function base64(values: Float32Array): string {
  const view = new DataView(new ArrayBuffer(values.length * 4));
  for (const [i, value] of values.entries()) view.setFloat32(i * 4, value, true);
  let text = '';
  for (let i = 0; i < view.byteLength; i++) text += String.fromCharCode(view.getUint8(i));
  return btoa(text);
}
