import { z } from 'zod';
import type { Tool, ToolChoice } from '../../text/answers/answer-format.ts';
import type { TextUsage } from '../../text/text-result.ts';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';
import type { Answer, NumberedPart } from '../answers.ts';
import { event } from '../event-stream.ts';
import type { Job } from '../job.ts';
import type { ServedModel, ServedRequest } from '../models/served-model.ts';
import { type FieldNames, usualNames } from '../named-fields.ts';
import { newId } from '../openai/shared.ts';
import { toolName } from '../openai/tools.ts';
import { checked, drawing, present } from '../schema.ts';
import { messageSchema, messagesOf, systemSchema } from './conversation.ts';
import { anthropicError } from './errors.ts';

const conversation = {
  model: z.string(),
  messages: z.array(messageSchema).min(1),
  system: systemSchema.nullish(),
  tools: z
    .array(
      z.looseObject({
        type: z.literal('custom', { error: 'takes tools of your own only' }).nullish(),
        name: toolName,
        description: z.string().nullish(),
        input_schema: z.record(z.string(), z.any()),
      }),
    )
    .max(256)
    .nullish(),
  tool_choice: z
    .discriminatedUnion('type', [
      z.object({ type: z.literal('auto'), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('any'), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('tool'), name: z.string(), disable_parallel_tool_use: z.boolean().nullish() }),
      z.object({ type: z.literal('none') }),
    ])
    .nullish(),
  thinking: z
    .discriminatedUnion('type', [
      z.looseObject({ type: z.literal('enabled'), budget_tokens: z.int().min(1) }),
      z.looseObject({ type: z.literal('adaptive') }),
      z.looseObject({ type: z.literal('disabled') }),
    ])
    .nullish(),
};

const countSchema = z.looseObject(conversation);

const schema = z.looseObject({
  ...conversation,
  ...drawing,
  max_tokens: z.int().min(1),
  stop_sequences: z.array(z.string().min(1)).max(16).nullish(),
  stream: z.boolean().nullish(),
});

type Conversation = z.infer<typeof countSchema>;

/** What it calls what the library may refuse. */
export const messagesNames: FieldNames = {
  ...usualNames,
  prompt: 'messages',
  stop: 'stop_sequences',
  reasoning: 'thinking',
  format: 'tools',
};

/** The body of `POST /v1/messages/count_tokens`. */
export const countBody: z.ZodType = countSchema;

/** The body of `POST /v1/messages`. */
export const messagesBody: z.ZodType = schema;

function conversationOf(body: Conversation): ServedRequest {
  const { thinking, tool_choice: choice } = body;
  return {
    messages: [...systemOf(body), ...messagesOf(body.messages)],
    reasoning: {
      enabled: thinking?.type === 'enabled' || thinking?.type === 'adaptive',
      ...(thinking?.type === 'enabled' && { budget: thinking.budget_tokens }),
    },
    ...present({
      tools: body.tools?.map(
        ({ name, description, input_schema: parameters }): Tool => ({
          name,
          parameters,
          ...(description && { description }),
        }),
      ),
      toolChoice: choice && choiceOf(choice),
      parallelToolCalls:
        choice && 'disable_parallel_tool_use' in choice && choice.disable_parallel_tool_use ? false : undefined,
    }),
  };
}

function systemOf({ system }: Conversation): ChatMessage[] {
  if (system === null || system === undefined) return [];
  const content = typeof system === 'string' ? system : system.map(({ text }) => text).join('\n\n');
  return content === '' ? [] : [{ role: 'system', content }];
}

function choiceOf(choice: NonNullable<Conversation['tool_choice']>): ToolChoice {
  if (choice.type === 'tool') return { name: choice.name };
  return choice.type === 'any' ? 'required' : choice.type;
}

export async function countTokens(value: unknown, modelOf: (id: string) => ServedModel): Promise<object> {
  const body = checked(countSchema, value);
  const tokens = await modelOf(body.model).tokens(conversationOf(body));
  return { input_tokens: tokens.length };
}

/** @throws FaultError 400 */
export function messagesJob(value: unknown): Job {
  const body = checked(schema, value);
  const request = {
    ...conversationOf(body),
    maxTokens: body.max_tokens,
    ...present({
      temperature: body.temperature,
      topP: body.top_p,
      topK: body.top_k,
      minP: body.min_p,
      seed: body.seed,
      stop: body.stop_sequences,
    }),
  };
  const head = { id: newId('msg_'), type: 'message', role: 'assistant', model: body.model };
  return {
    model: body.model,
    requests: [request],
    stream: body.stream ?? false,
    names: messagesNames,
    whole: ([answer]) => ({ ...head, content: contentOf(answer!), ...endOf(answer!), usage: usageOf(answer!.usage) }),
    events: (parts) => events(parts, head),
    failed: (fault) => event(anthropicError(fault), 'error'),
  };
}

function contentOf({ text, reasoning, toolCalls }: Answer): object[] {
  return [
    ...(reasoning === '' ? [] : [{ type: 'thinking', thinking: reasoning, signature: '' }]),
    ...(text === '' ? [] : [{ type: 'text', text }]),
    ...toolCalls.map(({ id, name, arguments: json }) => ({ type: 'tool_use', id, name, input: inputOf(json) })),
  ];
}

/** The arguments of a call; none where the answer was cut off in them. */
function inputOf(json: string): unknown {
  try {
    return JSON.parse(json);
  } catch {
    return {};
  }
}

function endOf({ finishReason, stop }: Pick<Answer, 'finishReason' | 'stop'>): {
  stop_reason: string;
  stop_sequence: string | null;
} {
  const reasons = { stop: 'end_turn', 'tool-calls': 'tool_use', length: 'max_tokens', aborted: 'end_turn' };
  return stop === undefined
    ? { stop_reason: reasons[finishReason], stop_sequence: null }
    : { stop_reason: 'stop_sequence', stop_sequence: stop };
}

function usageOf({ inputTokens, cachedTokens, outputTokens }: TextUsage): object {
  return {
    input_tokens: inputTokens - cachedTokens,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cachedTokens,
    output_tokens: outputTokens,
  };
}

async function* events(parts: AsyncIterable<NumberedPart>, head: object): AsyncGenerator<string, undefined> {
  let block = -1;
  let kind: string | undefined;
  const named = (type: string, data: object) => event({ type, ...data }, type);
  const close = () => (kind === undefined ? '' : named('content_block_stop', { index: block }));
  const open = (type: string, content: object) => {
    const before = close();
    block++;
    kind = type;
    return before + named('content_block_start', { index: block, content_block: { type, ...content } });
  };
  const delta = (type: string, data: object) =>
    named('content_block_delta', { index: block, delta: { type, ...data } });
  for await (const { part } of parts) {
    switch (part.type) {
      case 'start': {
        const none = {
          inputTokens: part.tokens.length,
          cachedTokens: 0,
          outputTokens: 0,
          totalTokens: 0,
          reasoningTokens: 0,
        };
        yield named('message_start', {
          message: { ...head, content: [], stop_reason: null, stop_sequence: null, usage: usageOf(none) },
        });
        break;
      }
      case 'text':
        if (part.text === '') break;
        if (kind !== 'text') yield open('text', { text: '' });
        yield delta('text_delta', { text: part.text });
        break;
      case 'reasoning':
        if (kind !== 'thinking') yield open('thinking', { thinking: '', signature: '' });
        yield delta('thinking_delta', { thinking: part.text });
        break;
      case 'tool-call':
        yield open('tool_use', { id: part.id, name: part.name, input: {} });
        break;
      case 'tool-arguments':
        yield delta('input_json_delta', { partial_json: part.text });
        break;
      case 'finish':
        yield close() + named('message_delta', { delta: endOf(part), usage: usageOf(part.usage) });
        yield named('message_stop', {});
    }
  }
  return undefined;
}
