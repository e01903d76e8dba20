import { z } from 'zod';
import type { ServedModel } from './models/served-model.ts';
import { checked, present } from './schema.ts';

const tokenizeSchema = z.looseObject({
  model: z.string(),
  prompt: z.string().nullish(),
  messages: z
    .array(z.looseObject({ role: z.string(), content: z.string() }))
    .min(1)
    .nullish(),
  add_special_tokens: z.boolean().nullish(),
});

const detokenizeSchema = z.looseObject({
  model: z.string(),
  tokens: z.array(
    z
      .int()
      .min(0)
      .max(2 ** 31),
  ),
});

/** The body of `POST /tokenize`: a text, or a conversation. */
export const tokenizeBody: z.ZodType = tokenizeSchema;

/** The body of `POST /detokenize`. */
export const detokenizeBody: z.ZodType = detokenizeSchema;

export async function tokenize(value: unknown, modelOf: (id: string) => ServedModel): Promise<object> {
  const body = checked(
    tokenizeSchema.refine(({ prompt, messages }) => (prompt == null) !== (messages == null), {
      path: ['prompt'],
      message: 'takes either prompt or messages',
    }),
    value,
  );
  const model = modelOf(body.model);
  const { messages } = body;
  const tokens = messages
    ? await model.tokens({ messages })
    : await model.tokens({ text: body.prompt!, ...present({ addSpecialTokens: body.add_special_tokens }) });
  return { tokens, count: tokens.length, max_model_len: model.maxSequenceTokens };
}

export async function detokenize(value: unknown, modelOf: (id: string) => ServedModel): Promise<object> {
  const body = checked(detokenizeSchema, value);
  return { prompt: await modelOf(body.model).text(body.tokens) };
}
