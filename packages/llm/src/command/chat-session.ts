import { readFile, writeFile } from 'node:fs/promises';
import { type Chat, type ChatOptions, chat } from '../text/chat.ts';
import type { TextResult } from '../text/text-result.ts';
import type { ChatMessage } from '../tokenizer/chat-template.ts';

/** Where a conversation is shown. */
export interface Screen {
  write(text: string): void;
  /** Text that is not part of the conversation: thoughts, figures, complaints. */
  aside(text: string): void;
  /** Takes an answer as a whole, in place of the pieces that `write` and `aside` would get. */
  answered?(answer: TextResult): void;
}

const chatHelp = `/help             this
/reset            begins anew
/undo             takes the last message and its answer back
/system TEXT      says how to answer, and begins anew
/save FILE        writes the conversation as JSON
/load FILE        goes on with one
/exit             ends (so does Ctrl-D)
"""               begins and ends a message of several lines
Ctrl-C stops an answer.
`;

/** A conversation in a terminal: lines in, answers and what commands say out. */
export class ChatSession {
  readonly #options: ChatOptions;
  readonly #screen: Screen;
  #talk: Chat;
  #system: string | undefined;
  #lines: string[] | undefined;
  #answering: AbortController | undefined;

  constructor(options: ChatOptions, screen: Screen) {
    this.#options = options;
    this.#screen = screen;
    this.#system = options.system;
    this.#talk = this.#begin([]);
  }

  /** Whether a message of several lines has begun. */
  get isOpen(): boolean {
    return this.#lines !== undefined;
  }

  /** Stops the answer that is under way. @returns whether there was one */
  stop(): boolean {
    const answering = this.#answering;
    answering?.abort(new Error('stopped'));
    return answering !== undefined;
  }

  /** Takes a line. @returns false when the conversation is to end */
  async line(text: string): Promise<boolean> {
    if (text.trim() === '"""') {
      const message = this.#lines?.join('\n');
      this.#lines = this.#lines ? undefined : [];
      if (message?.trim()) await this.#answer(message);
    } else if (this.#lines) this.#lines.push(text);
    else if (text.startsWith('/')) return this.#command(text.trim());
    else if (text.trim() !== '') await this.#answer(text);
    return true;
  }

  async #command(line: string): Promise<boolean> {
    const [name, ...rest] = line.split(' ');
    const argument = rest.join(' ').trim();
    const { messages } = this.#talk;
    const said = messages.filter(({ role }) => role !== 'system');
    switch (name) {
      case '/exit':
      case '/quit':
        return false;
      case '/help':
        this.#screen.aside(chatHelp);
        break;
      case '/reset':
        this.#talk = this.#begin([]);
        break;
      case '/undo':
        this.#talk = this.#begin(said.slice(0, said.map(({ role }) => role).lastIndexOf('user')));
        break;
      case '/system':
        this.#system = argument || undefined;
        this.#talk = this.#begin([]);
        break;
      case '/save':
        await this.#file(argument, async () => writeFile(argument, `${JSON.stringify(messages, null, 2)}\n`));
        break;
      case '/load':
        await this.#file(argument, async () => this.#load(JSON.parse(await readFile(argument, 'utf8'))));
        break;
      default:
        this.#screen.aside(`there is no ${name}; /help says what there is\n`);
    }
    return true;
  }

  async #file(path: string, run: () => Promise<void>): Promise<void> {
    if (path === '') return this.#screen.aside('this takes a file\n');
    try {
      await run();
    } catch (error) {
      this.#screen.aside(`${path}: ${(error as Error).message.split('\n')[0]}\n`);
    }
  }

  #load(given: unknown): void {
    const isMessage = (each: unknown) => typeof (each as Partial<ChatMessage> | null)?.role === 'string';
    if (!Array.isArray(given) || !given.every(isMessage)) throw new Error('holds no list of messages');
    const messages = given as readonly ChatMessage[];
    const first = messages[0];
    this.#system = first?.role === 'system' ? String(first.content) : undefined;
    this.#talk = this.#begin(messages.filter(({ role }) => role !== 'system'));
  }

  #begin(messages: readonly ChatMessage[]): Chat {
    const { system: _, messages: __, ...options } = this.#options;
    return chat({ ...options, messages, ...(this.#system !== undefined && { system: this.#system }) });
  }

  async #answer(message: string): Promise<void> {
    const controller = new AbortController();
    this.#answering = controller;
    try {
      const stream = this.#talk.stream(message, { signal: controller.signal });
      for await (const part of stream.fullStream) {
        if (this.#screen.answered) continue;
        if (part.type === 'text') this.#screen.write(part.text);
        if (part.type === 'reasoning') this.#screen.aside(part.text);
      }
      const result = await stream.result;
      if (this.#screen.answered) this.#screen.answered(result);
      else if (result.finishReason === 'length') this.#screen.aside(' (cut off: --max-tokens)');
    } catch (error) {
      if (!controller.signal.aborted) this.#screen.aside(`${(error as Error).message.split('\n')[0]}`);
    } finally {
      this.#answering = undefined;
      if (!this.#screen.answered) this.#screen.write('\n');
    }
  }
}
