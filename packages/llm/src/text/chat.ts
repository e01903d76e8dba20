import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { describe } from '../describe.ts';
import type { ChatMessage } from '../tokenizer/chat-template.ts';
import { conversationText } from './answers/conversation.ts';
import { toolsOf } from './answers/tool-options.ts';
import { answerMessage, type PastTurns, pastWith, tokensFrom } from './kept-turns.ts';
import { notTextModel, type TextModel } from './text-model.ts';
import { checkMessage, conversationRequest, settingNames, type TextSettings } from './text-options.ts';
import type { TextResult } from './text-result.ts';
import { startText, type TextStream } from './text-stream.ts';

/** How a conversation goes; the settings hold for every turn that does not name its own. */
export interface ChatOptions extends TextSettings {
  readonly model: TextModel;
  /** A first message that says how to answer. */
  readonly system?: string;
  /** Messages that were exchanged before. */
  readonly messages?: readonly ChatMessage[];
}

/** A conversation with a model. */
export interface Chat {
  /** What was said, with the answers so far. A turn that failed, or that was left early, stands not in it. */
  readonly messages: readonly ChatMessage[];
  /**
   * Sends a message, or several (results of tools), and waits for the answer.
   * @throws what `generateText` throws; the conversation then stands as it was
   */
  send(message: string | ChatMessage | readonly ChatMessage[], settings?: TextSettings): Promise<TextResult>;
  /** The same, with the answer as it comes. */
  stream(message: string | ChatMessage | readonly ChatMessage[], settings?: TextSettings): TextStream;
}

/**
 * A conversation whose turns go on from each other: what was computed of earlier ones is still in the engine's cache. Answers are
 * kept as the tokens that were generated, so that encoding their text again, which may give others, does not end the prefix.
 * Holds nothing but its messages and tokens, and needs no end.
 * @throws ArgumentError; turns throw what `generateText` throws, and ArgumentError while another turn is under way
 * @example
 * const talk = chat({ model, system: 'Answer in one sentence.' });
 * console.log((await talk.send('Who was Ada Lovelace?')).text);
 * for await (const piece of talk.stream('When was she born?')) process.stdout.write(piece);
 */
export function chat(options: ChatOptions): Chat {
  checkOptions('chat', options, ['model', 'system', 'messages', ...settingNames]);
  const { model, system, messages: before = [], ...defaults } = options;
  const wrong = notTextModel(model);
  if (wrong) throw new ArgumentError(`chat: needs a model, as openTextModel() gives one, got ${wrong}`);
  if (!Array.isArray(before)) throw new ArgumentError(`chat: messages must be a list, got ${describe(before)}`);
  for (const [i, message] of before.entries()) checkMessage(`chat: messages[${i}]`, message);
  checkArguments('chat', 'text?', { system });
  const tokenizer = model.requireTokenizer();
  let messages: readonly ChatMessage[] = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    ...before,
  ];
  let past: PastTurns | undefined;
  let busy = false;

  const stream: Chat['stream'] = (message, settings = {}) => {
    if (busy) throw new ArgumentError('chat: a turn is under way; wait for its end before the next one');
    checkOptions('chat', settings, settingNames);
    const asked = [...messages, ...messagesOf(message)];
    const merged = { ...defaults, ...settings };
    toolsOf('chat', merged);
    const text = conversationText(tokenizer, model.answers, asked, merged.template, merged);
    // where the template gives earlier turns in another way (without reasoning, say), all is encoded anew
    const tokens = tokensFrom(tokenizer, past, text);
    const running = startText(model, conversationRequest('chat', model, text, merged, tokens), (result) => {
      busy = false;
      if (!result || result.finishReason === 'aborted') return;
      messages = [...asked, answerMessage(result)];
      past = pastWith(tokenizer, text, tokens, result.tokens);
    });
    busy = true;
    return running;
  };
  return {
    get messages() {
      return messages;
    },
    stream,
    send: async (message, settings) => stream(message, settings).result,
  };
}

/** @throws ArgumentError for what is no message */
function messagesOf(given: unknown): readonly ChatMessage[] {
  if (typeof given === 'string') return [{ role: 'user', content: given }];
  const list = Array.isArray(given) ? given : [given];
  if (list.length > 0 && list.every((each) => typeof (each as ChatMessage | null)?.role === 'string')) return list;
  throw new ArgumentError(`chat: takes a text or messages { role, content }, got ${describe(given)}`);
}
