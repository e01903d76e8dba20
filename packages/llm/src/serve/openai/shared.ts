import { z } from 'zod';
import { json, jsonSchema, type OutputFormat } from '../../grammar/output-format.ts';
import type { TextFinish, TextUsage } from '../../text/text-result.ts';
import type { ServedPart, ServedRequest, SpelledToken } from '../models/served-model.ts';
import { type Absent, drawing, present, type Shape } from '../schema.ts';

/** Settings of chat and plain completions. */
interface Sampling
  extends Absent<{
    temperature: number;
    top_p: number;
    top_k: number;
    min_p: number;
    seed: number;
    presence_penalty: number;
    frequency_penalty: number;
    repetition_penalty: number;
    logit_bias: Record<string, number>;
    stop: string | string[];
    n: number;
    ignore_eos: boolean;
    stream: boolean;
    stream_options: { include_usage?: boolean | null | undefined };
  }> {}
export const sampling: Shape<Sampling> = {
  ...drawing,
  presence_penalty: z.number().min(-2).max(2).nullish(),
  frequency_penalty: z.number().min(-2).max(2).nullish(),
  repetition_penalty: z.number().gt(0).nullish(),
  logit_bias: z.record(z.string().regex(/^\d+$/, 'takes token ids'), z.number().min(-100).max(100)).nullish(),
  stop: z.union([z.string().min(1), z.array(z.string().min(1)).max(16)]).nullish(),
  n: z.int().min(1).max(128).nullish(),
  /** Goes on after the end token; no field of OpenAI's. */
  ignore_eos: z.boolean().nullish(),
  stream: z.boolean().nullish(),
  stream_options: z.object({ include_usage: z.boolean().nullish() }).nullish(),
};

export function samplingOf(body: Sampling): Partial<ServedRequest> {
  const bias = body.logit_bias && Object.entries(body.logit_bias);
  return present({
    temperature: body.temperature,
    topP: body.top_p,
    topK: body.top_k,
    minP: body.min_p,
    seed: body.seed,
    presencePenalty: body.presence_penalty,
    frequencyPenalty: body.frequency_penalty,
    repetitionPenalty: body.repetition_penalty,
    // -100 bans a token
    logitBias: bias && Object.fromEntries(bias.map(([id, by]) => [id, by <= -100 ? Number.NEGATIVE_INFINITY : by])),
    stop: body.stop,
    stopTokens: body.ignore_eos ? [] : undefined,
  });
}

type ResponseFormat =
  | { readonly type: 'text' | 'json_object' }
  | { readonly type: 'json_schema'; readonly json_schema: { readonly schema?: Record<string, unknown> | undefined } };

export const responseFormat: z.ZodType<ResponseFormat> = z.discriminatedUnion('type', [
  z.object({ type: z.literal('text') }),
  z.object({ type: z.literal('json_object') }),
  z.object({
    type: z.literal('json_schema'),
    json_schema: z.object({
      name: z.string().max(64).optional(),
      schema: z.record(z.string(), z.any()).optional(),
      strict: z.boolean().nullish(),
    }),
  }),
]);

export function formatOf(format: ResponseFormat | null | undefined): OutputFormat | undefined {
  if (!format) return undefined;
  if ('json_schema' in format) return jsonSchema(format.json_schema.schema ?? { type: 'object' });
  return format.type === 'json_object' ? json() : undefined;
}

export const finishReasons: Readonly<Record<TextFinish, string>> = {
  stop: 'stop',
  'tool-calls': 'tool_calls',
  length: 'length',
  aborted: 'stop',
};

/** What all answers to a request took together; their prompts are counted once each. */
export function usageOf(usages: readonly TextUsage[], answersPerPrompt: number): object {
  const sum = (of: (usage: TextUsage) => number, every = 1) =>
    usages.reduce((total, usage, i) => (i % every === 0 ? total + of(usage) : total), 0);
  const prompt = sum(({ inputTokens }) => inputTokens, answersPerPrompt);
  const completion = sum(({ outputTokens }) => outputTokens);
  return {
    prompt_tokens: prompt,
    completion_tokens: completion,
    total_tokens: prompt + completion,
    prompt_tokens_details: { cached_tokens: sum(({ cachedTokens }) => cachedTokens, answersPerPrompt) },
    completion_tokens_details: { reasoning_tokens: sum(({ reasoningTokens }) => reasoningTokens) },
  };
}

/** Log-probabilities as chat completions have them. */
export function chatLogprob(spelled: NonNullable<ServedPart['spelled']>): object {
  const one = ({ text, logprob }: SpelledToken) => ({
    token: text,
    logprob,
    bytes: [...new TextEncoder().encode(text)],
  });
  return { ...one(spelled), top_logprobs: spelled.top.map(one) };
}

export const seconds = (): number => Math.floor(Date.now() / 1000);

export function newId(prefix: string): string {
  return `${prefix}${crypto.randomUUID().replaceAll('-', '')}`;
}
