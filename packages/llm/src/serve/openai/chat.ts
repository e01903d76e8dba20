import { z } from 'zod';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';
import { type Answer, Collected, type NumberedPart } from '../answers.ts';
import { event } from '../event-stream.ts';
import type { Job } from '../job.ts';
import type { ServedPart, ServedRequest } from '../models/served-model.ts';
import { usualNames } from '../named-fields.ts';
import { checked, present, refusedFields } from '../schema.ts';
import { openAiError } from './errors.ts';
import {
  chatLogprob,
  finishReasons,
  formatOf,
  newId,
  responseFormat,
  sampling,
  samplingOf,
  seconds,
  usageOf,
} from './shared.ts';
import { toolChoice, toolChoiceOf, tools, toolsOf } from './tools.ts';

const text = z.union([
  z.string(),
  z.array(
    z.object({
      type: z.enum(['text', 'refusal'], { error: 'takes parts of type text only' }),
      text: z.string().optional(),
    }),
  ),
]);
const message = z.discriminatedUnion('role', [
  z.looseObject({ role: z.enum(['system', 'developer', 'user']), content: text, name: z.string().optional() }),
  z.looseObject({
    role: z.literal('assistant'),
    content: text.nullish(),
    reasoning_content: z.string().nullish(),
    tool_calls: z
      .array(
        z.object({
          id: z.string(),
          type: z.literal('function').optional(),
          function: z.object({ name: z.string(), arguments: z.string() }),
        }),
      )
      .nullish(),
  }),
  z.looseObject({ role: z.literal('tool'), content: text, tool_call_id: z.string() }),
]);

const schema = z.looseObject({
  model: z.string(),
  messages: z.array(message).min(1),
  ...sampling,
  max_tokens: z.int().min(1).nullish(),
  max_completion_tokens: z.int().min(1).nullish(),
  logprobs: z.boolean().nullish(),
  top_logprobs: z.int().min(0).max(20).nullish(),
  response_format: responseFormat.nullish(),
  tools: tools.nullish(),
  tool_choice: toolChoice.nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning_effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']).nullish(),
  /** Most tokens of reasoning; no field of OpenAI's. */
  reasoning_budget: z.int().min(0).nullish(),
  chat_template_kwargs: z.record(z.string(), z.any()).nullish(),
  ...refusedFields({
    functions: 'is not supported, use tools',
    function_call: 'is not supported, use tool_choice',
    audio: 'is not supported',
    web_search_options: 'is not supported',
  }),
});

type ChatBody = z.infer<typeof schema>;

/** The body of `POST /v1/chat/completions`. */
export const chatBody: z.ZodType = schema;

/** @throws FaultError 400 */
export function chatJob(value: unknown): Job {
  const body = checked(schema, value);
  const n = body.n ?? 1;
  const request = requestOf(body);
  const head = { id: newId('chatcmpl-'), created: seconds(), model: body.model };
  return {
    model: body.model,
    requests: Array.from({ length: n }, (_, sequence) => ({ ...request, sequence })),
    stream: body.stream ?? false,
    names: { ...usualNames, prompt: 'messages', ...(!body.response_format && { format: 'tools' }) },
    whole: (answers) => ({
      ...head,
      object: 'chat.completion',
      choices: answers.map((answer, index) => choiceOf(answer, index)),
      usage: usageOf(
        answers.map(({ usage }) => usage),
        n,
      ),
    }),
    events: (parts) =>
      events(parts, { ...head, object: 'chat.completion.chunk' }, n, body.stream_options?.include_usage ?? false),
    failed: (fault) => event(openAiError(fault)),
  };
}

function requestOf(body: ChatBody): ServedRequest {
  const { reasoning_effort: effort, reasoning_budget: budget } = body;
  const reasoning = present({
    enabled: effort === 'none' ? false : undefined,
    effort: effort === 'none' ? undefined : effort === 'minimal' ? ('low' as const) : effort,
    budget,
  });
  return {
    messages: body.messages.map(messageOf),
    ...samplingOf(body),
    ...present({
      maxTokens: body.max_completion_tokens ?? body.max_tokens,
      logprobs: body.logprobs ? (body.top_logprobs ?? 0) : undefined,
      format: formatOf(body.response_format),
      tools: body.tools && toolsOf(body.tools),
      toolChoice: body.tool_choice && toolChoiceOf(body.tool_choice),
      parallelToolCalls: body.parallel_tool_calls,
      reasoning: Object.keys(reasoning).length > 0 ? reasoning : undefined,
      template: body.chat_template_kwargs && { variables: body.chat_template_kwargs },
    }),
  };
}

/** Templates take one text, and know no developer. */
function messageOf({ content, role, ...rest }: ChatBody['messages'][number]): ChatMessage {
  const joined = Array.isArray(content) ? content.map((part) => part.text ?? '').join('') : (content ?? '');
  return { role: role === 'developer' ? 'system' : role, content: joined, ...present(rest) };
}

function choiceOf({ text, reasoning, toolCalls, finishReason, spelled }: Answer, index: number): object {
  return {
    index,
    message: {
      role: 'assistant',
      content: text === '' && toolCalls.length > 0 ? null : text,
      refusal: null,
      ...(reasoning !== '' && { reasoning_content: reasoning }),
      ...(toolCalls.length > 0 && {
        tool_calls: toolCalls.map(({ id, ...called }) => ({ id, type: 'function', function: called })),
      }),
    },
    logprobs: spelled.length > 0 ? { content: spelled.map(chatLogprob), refusal: null } : null,
    finish_reason: finishReasons[finishReason],
  };
}

async function* events(
  parts: AsyncIterable<NumberedPart>,
  head: object,
  n: number,
  withUsage: boolean,
): AsyncGenerator<string, undefined> {
  const answers = Array.from({ length: n }, () => new Collected());
  const chunk = (index: number, delta: object, more: object = {}) =>
    event({
      ...head,
      choices: [{ index, delta, logprobs: null, finish_reason: null, ...more }],
      ...(withUsage && { usage: null }),
    });
  for (const index of answers.keys()) yield chunk(index, { role: 'assistant', content: '' });
  for await (const { index, part } of parts) {
    answers[index]!.push(part);
    const logprobs = part.spelled && { logprobs: { content: [chatLogprob(part.spelled)], refusal: null } };
    if (part.type === 'finish') yield chunk(index, {}, { finish_reason: finishReasons[part.finishReason] });
    else {
      const delta = deltaOf(part);
      if (delta || logprobs) yield chunk(index, delta ?? {}, logprobs);
    }
  }
  const usages = answers.map(({ usage }) => usage);
  if (withUsage) yield event({ ...head, choices: [], usage: usageOf(usages, n) });
  yield event('[DONE]');
  return undefined;
}

function deltaOf(part: ServedPart): object | undefined {
  switch (part.type) {
    case 'text':
      return part.text === '' ? undefined : { content: part.text };
    case 'reasoning':
      return { reasoning_content: part.text };
    case 'tool-call': {
      const { index, id, name } = part;
      return { tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] };
    }
    case 'tool-arguments':
      return { tool_calls: [{ index: part.index, function: { arguments: part.text } }] };
    default:
      return undefined;
  }
}
