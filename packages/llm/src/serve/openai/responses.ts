import { z } from 'zod';
import type { TextFinish } from '../../text/text-result.ts';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';
import type { Answer } from '../answers.ts';
import { event } from '../event-stream.ts';
import type { Job } from '../job.ts';
import type { ServedRequest } from '../models/served-model.ts';
import { usualNames } from '../named-fields.ts';
import { checked, drawing, present, refusedFields } from '../schema.ts';
import { openAiError } from './errors.ts';
import { responseEvents } from './response-events.ts';
import { callItem, messageItem, reasoningItem } from './response-items.ts';
import { formatOf, newId, seconds } from './shared.ts';
import { toolName, toolOf } from './tools.ts';

const parts = z.array(
  z.looseObject({
    type: z.enum(['input_text', 'output_text', 'text', 'refusal'], { error: 'takes parts of text only' }),
    text: z.string().optional(),
  }),
);
const content = z.union([z.string(), parts]);
const item = z.discriminatedUnion('type', [
  z.looseObject({
    type: z.literal('message').optional(),
    role: z.enum(['user', 'assistant', 'system', 'developer']),
    content,
  }),
  z.looseObject({ type: z.literal('function_call'), call_id: z.string(), name: z.string(), arguments: z.string() }),
  z.looseObject({ type: z.literal('function_call_output'), call_id: z.string(), output: content }),
  z.looseObject({ type: z.literal('reasoning') }),
]);
const schema = z.looseObject({
  model: z.string(),
  input: z.union([z.string(), z.array(item).min(1)]),
  instructions: z.string().nullish(),
  max_output_tokens: z.int().min(1).nullish(),
  ...drawing,
  stream: z.boolean().nullish(),
  text: z
    .looseObject({
      format: z
        .discriminatedUnion('type', [
          z.object({ type: z.enum(['text', 'json_object']) }),
          z.looseObject({
            type: z.literal('json_schema'),
            name: z.string().max(64).nullish(),
            schema: z.record(z.string(), z.any()),
          }),
        ])
        .nullish(),
    })
    .nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.literal('function', { error: 'takes tools of type function only' }),
        name: toolName,
        description: z.string().nullish(),
        parameters: z.record(z.string(), z.any()).nullish(),
      }),
    )
    .max(256)
    .nullish(),
  tool_choice: z
    .union([z.enum(['auto', 'required', 'none']), z.object({ type: z.literal('function'), name: z.string() })])
    .nullish(),
  parallel_tool_calls: z.boolean().nullish(),
  reasoning: z.looseObject({ effort: z.enum(['none', 'minimal', 'low', 'medium', 'high']).nullish() }).nullish(),
  ...refusedFields({
    previous_response_id: 'is not supported: this server keeps no responses, send the whole input',
    conversation: 'is not supported: this server keeps no conversations, send the whole input',
    background: 'is not supported',
    prompt: 'is not supported',
  }),
});
type Body = z.infer<typeof schema>;

/** The body of `POST /v1/responses`. */
export const responseBody: z.ZodType = schema;

/** @throws FaultError 400 */
export function responseJob(value: unknown): Job {
  const body = checked(schema, value);
  const head = {
    id: newId('resp_'),
    object: 'response',
    created_at: seconds(),
    model: body.model,
    error: null,
    instructions: body.instructions ?? null,
    metadata: {},
    tools: body.tools ?? [],
    tool_choice: body.tool_choice ?? 'auto',
    parallel_tool_calls: body.parallel_tool_calls ?? true,
    temperature: body.temperature ?? null,
    top_p: body.top_p ?? null,
    max_output_tokens: body.max_output_tokens ?? null,
    text: body.text ?? { format: { type: 'text' } },
    previous_response_id: null,
    store: false,
  };
  const whole = (answer: Answer, output: readonly object[]) => ({
    ...head,
    ...endOf(answer),
    output,
    usage: usageOf(answer),
  });
  return {
    model: body.model,
    requests: [requestOf(body)],
    stream: body.stream ?? false,
    names: {
      ...usualNames,
      prompt: 'input',
      maxTokens: 'max_output_tokens',
      reasoning: 'reasoning',
      format: body.text?.format ? 'text.format' : 'tools',
    },
    whole: ([answer]) => whole(answer!, outputOf(answer!)),
    events: (parts) => responseEvents(parts, { ...head, status: 'in_progress', output: [], usage: null }, whole),
    failed: (fault) => event({ type: 'error', ...(openAiError(fault) as { error: object }).error }, 'error'),
  };
}

function requestOf(body: Body): ServedRequest {
  const { tool_choice: choice, text } = body;
  const effort = body.reasoning?.effort;
  const format = text?.format;
  const asked = format?.type === 'json_schema' ? { type: format.type, json_schema: { schema: format.schema } } : format;
  return {
    messages: messagesOf(body),
    ...present({
      maxTokens: body.max_output_tokens,
      temperature: body.temperature,
      topP: body.top_p,
      topK: body.top_k,
      minP: body.min_p,
      seed: body.seed,
      format: formatOf(asked as Parameters<typeof formatOf>[0]),
      tools: body.tools?.map(toolOf),
      toolChoice: typeof choice === 'object' && choice ? { name: choice.name } : choice,
      parallelToolCalls: body.parallel_tool_calls,
    }),
    ...(effort && {
      reasoning: effort === 'none' ? { enabled: false } : { effort: effort === 'minimal' ? 'low' : effort },
    }),
  };
}

function messagesOf({ input, instructions }: Body): ChatMessage[] {
  const first = instructions ? [{ role: 'system', content: instructions }] : [];
  if (typeof input === 'string') return [...first, { role: 'user', content: input }];
  const messages: (ChatMessage & { tool_calls?: object[] })[] = [...first];
  for (const each of input) {
    if (each.type === undefined || each.type === 'message')
      messages.push({ role: each.role === 'developer' ? 'system' : each.role, content: textOf(each.content) });
    else if (each.type === 'function_call_output')
      messages.push({ role: 'tool', tool_call_id: each.call_id, content: textOf(each.output) });
    else if (each.type === 'function_call') {
      const call = { id: each.call_id, type: 'function', function: { name: each.name, arguments: each.arguments } };
      const before = messages.at(-1);
      // calls of one answer, and what was said before them, are one message
      if (before?.role === 'assistant')
        messages[messages.length - 1] = { ...before, tool_calls: [...(before.tool_calls ?? []), call] };
      else messages.push({ role: 'assistant', content: '', tool_calls: [call] });
    }
  }
  return messages;
}

function textOf(of: z.infer<typeof content>): string {
  return typeof of === 'string' ? of : of.map(({ text }) => text ?? '').join('');
}

/** What a response says at its end. */
function endOf({ finishReason }: { readonly finishReason: TextFinish }): object {
  return finishReason === 'length'
    ? { status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } }
    : { status: 'completed', incomplete_details: null };
}

function outputOf({ text, reasoning, toolCalls }: Answer): object[] {
  return [
    ...(reasoning === '' ? [] : [reasoningItem(newId('rs_'), reasoning)]),
    ...(text === '' && toolCalls.length > 0 ? [] : [messageItem(newId('msg_'), text)]),
    ...toolCalls.map((call) => callItem(call)),
  ];
}

function usageOf({ usage }: Answer): object {
  return {
    input_tokens: usage.inputTokens,
    input_tokens_details: { cached_tokens: usage.cachedTokens },
    output_tokens: usage.outputTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens },
    total_tokens: usage.totalTokens,
  };
}
