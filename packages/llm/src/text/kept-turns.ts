import type { ChatMessage } from '../tokenizer/chat-template.ts';
import type { Tokenizer } from '../tokenizer.ts';
import type { TextResult } from './text-result.ts';

/** What the tokens of a conversation stand for, up to the end of an answer. */
export interface PastTurns {
  readonly text: string;
  readonly tokens: readonly number[];
}

/** The tokens of a text: those of the past where it goes on from there, with the rest encoded. */
export function tokensFrom(tokenizer: Tokenizer, past: PastTurns | undefined, text: string): readonly number[] {
  const encode = (rest: string) => tokenizer.encode(rest, { addSpecialTokens: false });
  return past && text.startsWith(past.text) ? [...past.tokens, ...encode(text.slice(past.text.length))] : encode(text);
}

/** A conversation with the answer that was generated, as a template writes it: with its special tokens. */
export function pastWith(
  tokenizer: Tokenizer,
  text: string,
  tokens: readonly number[],
  answer: readonly number[],
): PastTurns {
  const decoder = tokenizer.stream({ after: tokens });
  const said = answer.map((token) => decoder.push(token)).join('') + decoder.finish();
  return { text: text + said, tokens: [...tokens, ...answer] };
}

/** An answer as a message of the conversation. */
export function answerMessage({
  text,
  reasoning,
  toolCalls,
}: Pick<TextResult, 'text' | 'reasoning' | 'toolCalls'>): ChatMessage {
  return {
    role: 'assistant',
    content: text,
    ...(reasoning !== '' && { reasoning_content: reasoning }),
    ...(toolCalls.length > 0 && {
      tool_calls: toolCalls.map(({ id, ...called }) => ({ id, type: 'function', function: called })),
    }),
  };
}

interface KeptTurn {
  readonly tenant: string;
  readonly past: PastTurns;
  /** Its key among the messages. */
  readonly said: string;
}

/** How a conversation is written as text: without `generation` up to its last message, otherwise up to where the model answers. */
export type WriteConversation = (messages: readonly ChatMessage[], generation: boolean) => string;

/** Most tokens that are kept, over all conversations. */
const usualTokens = 2 ** 21;

/**
 * Tokens of conversations that were answered, so that the next turn of one, which comes as text, begins with the very tokens that
 * were generated: encoding their text again may give others, and a template may write a call in other words than the model did.
 */
export class KeptTurns {
  readonly #tokenizer: Tokenizer;
  readonly #most: number;
  /** Those that were used longest ago in front. */
  readonly #byText = new Map<string, KeptTurn>();
  /** By what the messages say. */
  readonly #byMessages = new Map<string, KeptTurn>();
  #tokens = 0;

  constructor(tokenizer: Tokenizer, most: number = usualTokens) {
    this.#tokenizer = tokenizer;
    this.#most = most;
  }

  /** Conversations that are kept. */
  get size(): number {
    return this.#byText.size;
  }

  /**
   * The tokens of a conversation up to where the model answers.
   * @param tenant who shares turns with whom
   */
  tokens(tenant: string, messages: readonly ChatMessage[], text: string, write: WriteConversation): readonly number[] {
    const same = this.#longest(tenant, text);
    const said = this.#inMessages(tenant, messages, text, write);
    const past = said && (!same || said.tokens.length > same.past.tokens.length) ? said : same?.past;
    return tokensFrom(this.#tokenizer, past, text);
  }

  /** Keeps an answer to these messages. */
  keep(
    tenant: string,
    messages: readonly ChatMessage[],
    text: string,
    tokens: readonly number[],
    result: Pick<TextResult, 'text' | 'reasoning' | 'toolCalls' | 'tokens'>,
  ): void {
    const past = pastWith(this.#tokenizer, text, tokens, result.tokens);
    const turn = { tenant, past, said: keyOf(tenant, [...messages, answerMessage(result)]) };
    const key = `${tenant}\n${past.text}`;
    this.#forget(key);
    this.#byText.set(key, turn);
    this.#byMessages.set(turn.said, turn);
    this.#tokens += turn.past.tokens.length;
    for (const oldest of this.#byText.keys()) {
      if (this.#tokens <= this.#most) break;
      this.#forget(oldest);
    }
  }

  #longest(tenant: string, text: string): KeptTurn | undefined {
    let found: KeptTurn | undefined;
    for (const turn of this.#byText.values()) {
      const { past } = turn;
      if (turn.tenant !== tenant || past.tokens.length <= (found?.past.tokens.length ?? 0)) continue;
      // ends of answers differ where their beginnings do not
      if (text.endsWith(past.text.slice(-40), past.text.length) && text.startsWith(past.text)) found = turn;
    }
    return found;
  }

  /** Of the last answer among the messages that is kept, where the template writes it in other words but means the same. */
  #inMessages(
    tenant: string,
    messages: readonly ChatMessage[],
    text: string,
    write: WriteConversation,
  ): PastTurns | undefined {
    for (let last = messages.length - 1; last >= 0; last--) {
      if (messages[last]!.role !== 'assistant') continue;
      const turn = this.#byMessages.get(keyOf(tenant, messages.slice(0, last + 1)));
      if (!turn) continue;
      const { past } = turn;
      const written = write(messages.slice(0, last + 1), false);
      const end = this.#endOf(past);
      if (end === undefined || !text.startsWith(written)) return undefined;
      const at = written.lastIndexOf(end);
      if (at < 0) return undefined;
      // what was thought is left out of earlier turns by the template, and so it is here
      const thought = messages[last]!['reasoning_content'];
      if (typeof thought === 'string' && thought !== '' && !written.includes(thought.trim())) return undefined;
      const answered = written.slice(0, at + end.length);
      return { text: answered, tokens: past.tokens };
    }
    return undefined;
  }

  /** The text of the token that ended an answer. */
  #endOf({ tokens }: PastTurns): string | undefined {
    const end = this.#tokenizer.decode(tokens.slice(-1));
    return end !== '' && this.#tokenizer.decode(tokens.slice(-1), { skipSpecialTokens: true }) === '' ? end : undefined;
  }

  #forget(key: string): void {
    const turn = this.#byText.get(key);
    if (!turn) return;
    this.#byText.delete(key);
    this.#tokens -= turn.past.tokens.length;
    if (this.#byMessages.get(turn.said) === turn) this.#byMessages.delete(turn.said);
  }
}

/** What messages say, whatever else stands in them: clients leave out what was thought, and write arguments anew. */
function keyOf(tenant: string, messages: readonly ChatMessage[]): string {
  const said = messages.map(({ role, content, tool_calls: calls }) => [
    role,
    typeof content === 'string' ? content.trim() : (content ?? ''),
    Array.isArray(calls) ? calls.map(callOf) : [],
  ]);
  return `${tenant}\n${JSON.stringify(said)}`;
}

function callOf(call: { readonly id?: unknown; readonly function?: { name?: unknown; arguments?: unknown } }): unknown {
  const { name, arguments: given } = call.function ?? {};
  return [call.id, name, typeof given === 'string' ? parsed(given) : given];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
