import {
  type LanguageModelV3Message,
  type LanguageModelV3Prompt,
  UnsupportedFunctionalityError,
} from '@ai-sdk/provider';
import type { ChatMessage } from '../tokenizer/chat-template.ts';

/** A prompt of the AI SDK as messages of a chat template. @throws UnsupportedFunctionalityError for files */
export function messagesOf(prompt: LanguageModelV3Prompt): ChatMessage[] {
  return prompt.flatMap(messageOf);
}

function messageOf(message: LanguageModelV3Message): ChatMessage[] {
  switch (message.role) {
    case 'system':
      return [{ role: 'system', content: message.content }];
    case 'user':
      return [{ role: 'user', content: message.content.map(textOf).join('') }];
    case 'tool':
      return message.content.flatMap((part) =>
        part.type === 'tool-result'
          ? [{ role: 'tool', tool_call_id: part.toolCallId, name: part.toolName, content: outputOf(part.output) }]
          : [],
      );
    case 'assistant': {
      const calls = message.content.flatMap((part) =>
        part.type === 'tool-call'
          ? [
              {
                id: part.toolCallId,
                type: 'function',
                function: { name: part.toolName, arguments: JSON.stringify(part.input) },
              },
            ]
          : [],
      );
      const said = (type: 'text' | 'reasoning') =>
        message.content.map((part) => (part.type === type ? part.text : '')).join('');
      const thought = said('reasoning');
      return [
        {
          role: 'assistant',
          content: said('text'),
          ...(thought !== '' && { reasoning_content: thought }),
          ...(calls.length > 0 && { tool_calls: calls }),
        },
      ];
    }
  }
}

function textOf(part: Extract<LanguageModelV3Message, { role: 'user' }>['content'][number]): string {
  if (part.type === 'text') return part.text;
  throw new UnsupportedFunctionalityError({ functionality: `files in prompts (${part.mediaType})` });
}

type Output = Extract<
  Extract<LanguageModelV3Message, { role: 'tool' }>['content'][number],
  { type: 'tool-result' }
>['output'];

function outputOf(output: Output): string {
  switch (output.type) {
    case 'text':
    case 'error-text':
      return output.value;
    case 'execution-denied':
      return output.reason ?? 'denied';
    case 'json':
    case 'error-json':
      return JSON.stringify(output.value);
    case 'content':
      return output.value.map((part) => (part.type === 'text' ? part.text : '')).join('');
  }
}
