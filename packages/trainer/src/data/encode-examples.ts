import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import type { ChatMessage, TextExample } from './json-lines.ts';

/** Tokens of an example, and which of them are learned: prompts are read only. */
export interface TokenExample {
  readonly tokens: Int32Array;
  /** 1 for each token that is learned, 0 for the others. */
  readonly learned: Uint8Array;
}

/** How texts become tokens. */
export interface ExampleEncoder {
  readonly encode: (text: string) => ArrayLike<number>;
  /** Put behind texts and completions, and learned; none where not named. */
  readonly endToken?: number;
  /** Put in front of texts and prompts; none where not named. */
  readonly startToken?: number;
  /**
   * A conversation as the model's template writes it, with the beginning of an answer behind it where `answer` is true. Needed for
   * conversations.
   */
  readonly renderChat?: (messages: readonly ChatMessage[], answer: boolean) => string;
}

/**
 * The tokens of an example: of texts all are learned, of prompts with completions the completions, of conversations what the
 * assistant says.
 * @throws ArgumentError for a conversation without `renderChat`; TrainingError `ERR_DATA` for a template in which more messages change
 *   what came before
 */
export function encodeExample(example: TextExample, encoder: ExampleEncoder): TokenExample {
  checkExample(example);
  checkOptions('encodeExample', encoder, {
    encode: 'function',
    endToken: 'whole?',
    startToken: 'whole?',
    renderChat: 'function?',
  });
  const { encode, startToken, endToken } = encoder;
  const parts: { readonly tokens: ArrayLike<number>; readonly learned: boolean }[] = [];
  if ('messages' in example) parts.push(...chatParts(example.messages, encoder));
  else {
    if (startToken !== undefined) parts.push({ tokens: [startToken], learned: false });
    if ('text' in example) parts.push({ tokens: tokensOf(encode, example.text), learned: true });
    else {
      // each by itself, so that the prompt has the tokens that it has when the model is asked
      parts.push({ tokens: tokensOf(encode, example.prompt), learned: false });
      parts.push({ tokens: tokensOf(encode, example.completion), learned: true });
    }
    if (endToken !== undefined) parts.push({ tokens: [endToken], learned: true });
  }
  return {
    tokens: Int32Array.from(parts.flatMap(({ tokens }) => Array.from(tokens))),
    learned: Uint8Array.from(
      parts.flatMap(({ tokens, learned }) => new Array<number>(tokens.length).fill(Number(learned))),
    ),
  };
}

function tokensOf(encode: ExampleEncoder['encode'], text: string): ArrayLike<number> {
  const tokens = encode(text);
  checkArguments('encodeExample', 'numbers', { 'what encode gives': tokens });
  return tokens;
}

function checkExample(example: TextExample): void {
  checkArguments('encodeExample', 'object', { example });
  if ('messages' in example) checkOptions('encodeExample', example, { messages: 'list' });
  else if ('text' in example) checkOptions('encodeExample', example, { text: 'text' });
  else checkOptions('encodeExample', example, { prompt: 'text', completion: 'text' });
}

function chatParts(messages: readonly ChatMessage[], { encode, renderChat }: ExampleEncoder) {
  if (!renderChat) throw new ArgumentError('encodeExample: conversations need renderChat, which writes them as text');
  const parts: { readonly tokens: ArrayLike<number>; readonly learned: boolean }[] = [];
  let done = '';
  const add = (text: string, learned: boolean) => {
    if (!text.startsWith(done))
      throw new TrainingError(
        'ERR_DATA',
        'encodeExample: the chat template changes earlier messages when later ones come',
      );
    if (text.length > done.length) parts.push({ tokens: encode(text.slice(done.length)), learned });
    done = text;
  };
  for (const [i, { role }] of messages.entries()) {
    if (role !== 'assistant') continue;
    add(renderChat(messages.slice(0, i), true), false);
    add(renderChat(messages.slice(0, i + 1), false), true);
  }
  if (parts.length === 0)
    throw new TrainingError('ERR_DATA', 'encodeExample: the assistant says nothing in this conversation');
  return parts;
}
