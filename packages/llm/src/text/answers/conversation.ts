import type { ChatMessage, ChatTemplateOptions } from '../../tokenizer/chat-template.ts';
import type { Tokenizer } from '../../tokenizer.ts';
import type { AnswerFormat, Tool, ToolCall } from './answer-format.ts';
import { parametersOf } from './answer-format.ts';
import type { AnswerOptions, ReasoningOptions } from './tool-options.ts';

/** A call as messages have it. */
interface WrittenCall {
  readonly id?: unknown;
  readonly function?: { readonly name?: unknown; readonly arguments?: unknown };
}

/**
 * The text of a conversation, up to where the model answers, or without `addGenerationPrompt` up to the end of its last message. Tools go through the chat template where it looks at them; others
 * are told in the system message, and calls and results stand in messages of those who said them.
 */
export function conversationText(
  tokenizer: Tokenizer,
  format: AnswerFormat | undefined,
  messages: readonly ChatMessage[],
  template: Omit<ChatTemplateOptions, 'addGenerationPrompt'> = {},
  options: AnswerOptions = {},
  addGenerationPrompt = true,
): string {
  const { tools = [], toolChoice, reasoning } = options;
  const told = toolChoice === 'none' ? [] : tools;
  const named =
    template.template ?? (told.length > 0 && tokenizer.chatTemplateNames.includes('tool_use') ? 'tool_use' : 'default');
  const text = tokenizer.chatTemplateText(named) ?? template.template ?? '';
  const variables = { ...variablesOf(reasoning), ...template.variables };
  const rest = { ...template, ...(Object.keys(variables).length > 0 && { variables }), addGenerationPrompt };
  const looks = /\btools\b|tool_calls/.test(text);
  if (looks || !format || (!messages.some(isOfTools) && told.length === 0)) {
    const shown = told.length > 0 ? { tools: told.map(functionOf) } : {};
    return tokenizer.applyChatTemplate(messages.map(withObjects), { ...shown, ...rest });
  }
  return tokenizer.applyChatTemplate(inWords(messages, format, told), rest);
}

const isOfTools = ({ role, tool_calls: calls }: ChatMessage) => role === 'tool' || Array.isArray(calls);

function variablesOf(reasoning: ReasoningOptions | undefined): Record<string, unknown> {
  const { enabled, effort } = reasoning ?? {};
  return {
    ...(enabled !== undefined && { enable_thinking: enabled, thinking: enabled }),
    ...(effort !== undefined && { reasoning_effort: effort }),
  };
}

const functionOf = (tool: Tool) => ({
  type: 'function',
  function: {
    name: tool.name,
    ...(tool.description !== undefined && { description: tool.description }),
    parameters: parametersOf(tool),
  },
});

/** Templates write arguments as JSON: they take objects. */
function withObjects(message: ChatMessage): ChatMessage {
  const calls = message['tool_calls'];
  if (!Array.isArray(calls)) return message;
  return {
    ...message,
    tool_calls: (calls as readonly WrittenCall[]).map((call) => ({
      ...call,
      function: { ...call.function, arguments: objectOf(call.function?.arguments) },
    })),
  };
}

function objectOf(text: unknown): unknown {
  if (typeof text !== 'string') return text;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** The messages of a model whose template knows no tools. */
function inWords(messages: readonly ChatMessage[], format: AnswerFormat, tools: readonly Tool[]): ChatMessage[] {
  const list = messages.map(({ tool_calls: calls, ...message }): ChatMessage => {
    if (message.role === 'tool')
      return { role: 'user', content: `<tool_response>\n${String(message.content ?? '')}\n</tool_response>` };
    if (!Array.isArray(calls)) return message;
    const written = format.writeCalls((calls as readonly WrittenCall[]).map(callOf));
    return { ...message, content: `${String(message.content ?? '')}${written}` };
  });
  const joined: ChatMessage[] = [];
  for (const message of list) {
    const before = joined.at(-1);
    // several results are one turn: many templates want turns to alternate
    if (before?.role === 'user' && message.role === 'user')
      joined[joined.length - 1] = { ...before, content: `${String(before.content)}\n${String(message.content)}` };
    else joined.push(message);
  }
  if (tools.length === 0) return joined;
  const description = format.describeTools(tools);
  const [first, ...others] = joined;
  if (first?.role === 'system' || first?.role === 'developer')
    return [{ ...first, content: `${String(first.content)}\n\n${description}` }, ...others];
  return [{ role: 'system', content: description }, ...joined];
}

function callOf({ id, function: called }: WrittenCall): ToolCall {
  const given = called?.arguments ?? {};
  return {
    id: String(id ?? ''),
    name: String(called?.name ?? ''),
    arguments: typeof given === 'string' ? given : JSON.stringify(given),
  };
}
