import { z } from 'zod';
import { type Answer, Collected, type NumberedPart } from '../answers.ts';
import { event } from '../event-stream.ts';
import type { Job } from '../job.ts';
import type { ServedPart } from '../models/served-model.ts';
import { usualNames } from '../named-fields.ts';
import { checked, present, refusedFields } from '../schema.ts';
import { openAiError } from './errors.ts';
import { finishReasons, formatOf, newId, responseFormat, sampling, samplingOf, seconds, usageOf } from './shared.ts';

const ids = z.array(z.int().min(0)).min(1);

const schema = z.looseObject({
  model: z.string(),
  prompt: z.union([z.string(), ids, z.array(z.string()).min(1).max(64), z.array(ids).min(1).max(64)], {
    error: 'takes a text, token ids, or a list of 1 to 64 of them',
  }),
  ...sampling,
  max_tokens: z.int().min(1).nullish(),
  logprobs: z.int().min(0).max(20).nullish(),
  echo: z.boolean().nullish(),
  response_format: responseFormat.nullish(),
  ...refusedFields({ suffix: 'is not supported', best_of: 'is not supported, use n' }),
});

/** The body of `POST /v1/completions`. */
export const completionBody: z.ZodType = schema;

/** @throws FaultError 400 */
export function completionJob(value: unknown): Job {
  const body = checked(schema, value);
  const n = body.n ?? 1;
  const prompts = promptsOf(body.prompt);
  const settings = {
    ...samplingOf(body),
    ...present({ maxTokens: body.max_tokens ?? 16, logprobs: body.logprobs, format: formatOf(body.response_format) }),
  };
  const requests = prompts.flatMap((prompt) =>
    Array.from({ length: n }, (_, sequence) => ({ prompt, ...settings, sequence })),
  );
  const head = { id: newId('cmpl-'), object: 'text_completion', created: seconds(), model: body.model };
  const echoed = (index: number) => {
    const prompt = prompts[Math.floor(index / n)]!;
    return body.echo && typeof prompt === 'string' ? prompt : '';
  };
  return {
    model: body.model,
    requests,
    stream: body.stream ?? false,
    names: usualNames,
    whole: (answers) => ({
      ...head,
      choices: answers.map((answer, index) => ({
        index,
        text: echoed(index) + answer.text,
        logprobs: logprobsOf(answer.spelled, echoed(index).length),
        finish_reason: finishReasons[answer.finishReason],
      })),
      usage: usageOf(usagesOf(answers), n),
    }),
    events: (parts) =>
      events(parts, {
        head,
        n,
        echoed,
        count: requests.length,
        withUsage: body.stream_options?.include_usage ?? false,
      }),
    failed: (fault) => event(openAiError(fault)),
  };
}

const usagesOf = (answers: readonly Answer[]) => answers.map(({ usage }) => usage);

function promptsOf(prompt: z.infer<typeof schema>['prompt']): readonly (string | readonly number[])[] {
  if (typeof prompt === 'string') return [prompt];
  return typeof prompt[0] === 'number' ? [prompt as number[]] : (prompt as (string | number[])[]);
}

interface Streaming {
  readonly head: object;
  readonly n: number;
  readonly count: number;
  readonly withUsage: boolean;
  echoed(index: number): string;
}

async function* events(
  parts: AsyncIterable<NumberedPart>,
  { head, n, count, echoed, withUsage }: Streaming,
): AsyncGenerator<string, undefined> {
  const answers = Array.from({ length: count }, () => new Collected());
  const chunk = (index: number, text: string, more: object = {}) =>
    event({
      ...head,
      choices: [{ index, text, logprobs: null, finish_reason: null, ...more }],
      ...(withUsage && { usage: null }),
    });
  for await (const { index, part } of parts) {
    const answer = answers[index]!;
    const before = echoed(index).length + answer.text.length;
    answer.push(part);
    if (part.type === 'start' && echoed(index) !== '') yield chunk(index, echoed(index));
    if (part.type === 'finish') yield chunk(index, '', { finish_reason: finishReasons[part.finishReason] });
    if (part.type === 'text' && (part.text !== '' || part.spelled))
      yield chunk(index, part.text, part.spelled && { logprobs: logprobsOf([part.spelled], before) });
  }
  if (withUsage) yield event({ ...head, choices: [], usage: usageOf(usagesOf(answers), n) });
  yield event('[DONE]');
  return undefined;
}

function logprobsOf(spelled: readonly NonNullable<ServedPart['spelled']>[], start: number): object | null {
  if (spelled.length === 0) return null;
  let offset = start;
  const offsets = spelled.map(({ text }) => {
    offset += text.length;
    return offset - text.length;
  });
  return {
    tokens: spelled.map(({ text }) => text),
    token_logprobs: spelled.map(({ logprob }) => logprob),
    top_logprobs: spelled.map(({ top }) => Object.fromEntries(top.map(({ text, logprob }) => [text, logprob]))),
    text_offset: offsets,
  };
}
