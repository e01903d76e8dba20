import { z } from 'zod';
import type { ChatMessage } from '../../tokenizer/chat-template.ts';

const textBlock = z.looseObject({ type: z.literal('text'), text: z.string() });
const block = z.discriminatedUnion(
  'type',
  [
    textBlock,
    z.looseObject({ type: z.literal('thinking'), thinking: z.string() }),
    z.looseObject({ type: z.literal('redacted_thinking') }),
    z.looseObject({
      type: z.literal('tool_use'),
      id: z.string(),
      name: z.string(),
      input: z.record(z.string(), z.any()),
    }),
    z.looseObject({
      type: z.literal('tool_result'),
      tool_use_id: z.string(),
      content: z.union([z.string(), z.array(textBlock)]).nullish(),
      is_error: z.boolean().nullish(),
    }),
  ],
  { error: 'takes blocks of type text, thinking, tool_use and tool_result' },
);
type Block =
  | { type: 'text'; text: string }
  | { type: 'thinking'; thinking: string }
  | { type: 'redacted_thinking' }
  | { type: 'tool_use'; id: string; name: string; input: Record<string, unknown> }
  | { type: 'tool_result'; tool_use_id: string; content?: string | { text: string }[] | null | undefined };

/** A message as Anthropic's API has it. */
interface AnthropicMessage {
  readonly role: 'user' | 'assistant';
  readonly content: string | Block[];
}

export const messageSchema: z.ZodType<AnthropicMessage> = z.object({
  role: z.enum(['user', 'assistant']),
  content: z.union([z.string(), z.array(block)]),
});

export const systemSchema: z.ZodType<string | { text: string }[]> = z.union([z.string(), z.array(textBlock)]);

/** Messages as chat templates have them: results of tools are messages of their own, before what else the user says. */
export function messagesOf(messages: readonly AnthropicMessage[]): ChatMessage[] {
  const names = new Map<string, string>();
  return messages.flatMap(({ role, content }) => {
    if (typeof content === 'string') return [{ role, content }];
    const text = content.map((each) => (each.type === 'text' ? each.text : '')).join('');
    if (role === 'assistant') return [assistantMessage(content, text, names)];
    const results = content.flatMap((each): ChatMessage[] => {
      if (each.type !== 'tool_result') return [];
      const said =
        typeof each.content === 'string' ? each.content : (each.content ?? []).map((part) => part.text).join('');
      const name = names.get(each.tool_use_id);
      return [{ role: 'tool', tool_call_id: each.tool_use_id, content: said, ...(name !== undefined && { name }) }];
    });
    return [...results, ...(text === '' && results.length > 0 ? [] : [{ role, content: text }])];
  });
}

function assistantMessage(content: readonly Block[], text: string, names: Map<string, string>): ChatMessage {
  const calls = content.flatMap((each) => {
    if (each.type !== 'tool_use') return [];
    names.set(each.id, each.name);
    return [{ id: each.id, type: 'function', function: { name: each.name, arguments: JSON.stringify(each.input) } }];
  });
  const thoughts = content.map((each) => (each.type === 'thinking' ? each.thinking : '')).join('');
  return {
    role: 'assistant',
    content: text,
    ...(calls.length > 0 && { tool_calls: calls }),
    ...(thoughts !== '' && { reasoning_content: thoughts }),
  };
}
