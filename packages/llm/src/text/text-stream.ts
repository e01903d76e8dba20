import type { TokenStream } from '@heddle/batcher';
import type { TokenLogprobs } from '../sampling/logprobs.ts';
import type { IncrementalDecoder } from '../tokenizer/incremental-decoder.ts';
import { FormatConstraint } from './format-constraint.ts';
import { StopStrings } from './stop-strings.ts';
import type { TextModel } from './text-model.ts';
import type { TextRequest } from './text-options.ts';

/** Why a text ended: at an end token or a stop string, at the most tokens, or because its reader left. */
export type TextFinish = 'stop' | 'length' | 'aborted';

/** Tokens that a generation took. */
export interface TextUsage {
  readonly inputTokens: number;
  /** The end token counts. */
  readonly outputTokens: number;
  readonly totalTokens: number;
}

/** A text that was generated. */
export interface TextResult {
  /** Without special tokens, and without what stopped it. */
  readonly text: string;
  /** What was generated, with the end token where there was one. */
  readonly tokens: readonly number[];
  readonly finishReason: TextFinish;
  /** The stop string that ended it. */
  readonly stop: string | undefined;
  readonly usage: TextUsage;
  /** Of each token, where they were asked for. */
  readonly logprobs: readonly TokenLogprobs[] | undefined;
}

/** What comes of a generation, in order: `start`, any number of `text`, `finish`. */
export type TextPart =
  | { readonly type: 'start' /** The tokens of the prompt. */; readonly tokens: readonly number[] }
  | {
      readonly type: 'text';
      /** May be empty: a character is not complete yet, or the text may become a stop string. */
      readonly text: string;
      /** The tokens that came since the last part: one, or none at the end. */
      readonly tokens: readonly number[];
    }
  | ({ readonly type: 'finish' } & Omit<TextResult, 'text' | 'tokens' | 'logprobs'>);

/**
 * A text as it comes. It is generated whether it is read or not; each loop over it begins at its beginning. Leaving a loop early
 * ends the generation. A failure, an aborted signal too, is thrown by every loop and rejects every promise.
 */
export interface TextStream extends AsyncIterable<string> {
  /** All that comes, not the text alone. */
  readonly fullStream: AsyncIterable<TextPart>;
  /** All of it, when it has ended. */
  readonly result: Promise<TextResult>;
  readonly text: Promise<string>;
  readonly tokens: Promise<readonly number[]>;
  readonly finishReason: Promise<TextFinish>;
  readonly usage: Promise<TextUsage>;
}

/**
 * Starts a generation.
 * @param ended called before anybody hears of its end, with nothing where it failed
 * @throws what the engine's `generate` throws at once
 */
export function startText(
  model: TextModel,
  { request, stops, logprobs, signal, format }: TextRequest,
  ended: (result: TextResult | undefined) => void = () => {},
): TextStream {
  const said: TokenLogprobs[] | undefined = logprobs === undefined ? undefined : [];
  const telling = said && { topLogprobs: logprobs!, onLogprobs: (each: TokenLogprobs) => said.push(each) };
  const constraint = format && new FormatConstraint(model, format, request);
  let tokens: TokenStream;
  try {
    tokens = model.engine.generate(
      { ...request, ...telling, ...(constraint && { constraint }) },
      signal ? { signal } : {},
    );
  } catch (error) {
    constraint?.end();
    throw error;
  }
  if (constraint) tokens.ended.then(constraint.end, constraint.end);
  const text = model.tokenizer?.stream({ after: request.tokens, skipSpecialTokens: true });
  return new RunningText(tokens, request.tokens, text, new StopStrings(stops), said, ended);
}

class RunningText implements TextStream {
  readonly result: Promise<TextResult>;
  readonly text: Promise<string>;
  readonly tokens: Promise<readonly number[]>;
  readonly finishReason: Promise<TextFinish>;
  readonly usage: Promise<TextUsage>;
  readonly #source: TokenStream;
  readonly #parts: TextPart[] = [];
  #ended = false;
  #left = false;
  #failure: { readonly reason: unknown } | undefined;
  #wake = () => {};
  #changed: Promise<void> = Promise.resolve();

  constructor(
    source: TokenStream,
    prompt: readonly number[],
    decoder: IncrementalDecoder | undefined,
    stops: StopStrings,
    logprobs: readonly TokenLogprobs[] | undefined,
    ended: (result: TextResult | undefined) => void,
  ) {
    this.#source = source;
    this.#renew();
    this.result = this.#run(prompt, decoder, stops, logprobs)
      .then(
        (result) => {
          ended(result);
          return result;
        },
        (reason) => {
          ended(undefined);
          throw reason;
        },
      )
      .finally(() => {
        this.#ended = true;
        this.#wake();
      });
    const field = <K extends keyof TextResult>(name: K) => {
      const value = this.result.then((result) => result[name]);
      value.catch(() => {}); // nobody need ask for it
      return value;
    };
    this.text = field('text');
    this.tokens = field('tokens');
    this.finishReason = field('finishReason');
    this.usage = field('usage');
  }

  get fullStream(): AsyncIterable<TextPart> {
    return { [Symbol.asyncIterator]: () => this.#read() };
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, undefined> {
    for await (const part of this.fullStream) if (part.type === 'text' && part.text !== '') yield part.text;
    return undefined;
  }

  async #run(
    prompt: readonly number[],
    decoder: IncrementalDecoder | undefined,
    stops: StopStrings,
    logprobs: readonly TokenLogprobs[] | undefined,
  ): Promise<TextResult> {
    let text = '';
    let stop: string | undefined;
    const tokens: number[] = [];
    const pass = (piece: string, from: readonly number[]) => {
      const passed = stops.push(piece);
      stop = passed.stop;
      text += passed.text;
      this.#push({ type: 'text', text: passed.text, tokens: from });
    };
    try {
      this.#push({ type: 'start', tokens: prompt });
      for await (const token of this.#source) {
        tokens.push(token);
        pass(decoder?.push(token) ?? '', [token]);
        if (stop !== undefined) break; // which frees what the request held
      }
      if (stop === undefined) pass(decoder?.finish() ?? '', []);
      const held = stop === undefined ? stops.finish() : '';
      if (held !== '') this.#push({ type: 'text', text: held, tokens: [] });
      text += held;
      const { reason } = await this.#source.ended;
      const finishReason =
        stop !== undefined || reason === 'stop' ? 'stop' : reason === 'length' ? 'length' : 'aborted';
      const usage = {
        inputTokens: prompt.length,
        outputTokens: tokens.length,
        totalTokens: prompt.length + tokens.length,
      };
      const end = { finishReason, stop, usage } as const;
      this.#push({ type: 'finish', ...end });
      return { text, tokens, ...end, logprobs: logprobs?.slice(0, tokens.length) };
    } catch (reason) {
      this.#failure = { reason };
      throw reason;
    }
  }

  async *#read(): AsyncGenerator<TextPart, undefined> {
    let complete = false;
    try {
      for (let at = 0; ; at++) {
        while (at >= this.#parts.length && !this.#ended) await this.#changed;
        if (at >= this.#parts.length) break;
        yield this.#parts[at]!;
      }
      complete = true;
      if (this.#failure) throw this.#failure.reason;
      return undefined;
    } finally {
      if (!complete && !this.#left) {
        this.#left = true;
        await this.#source.return();
      }
    }
  }

  #push(part: TextPart): void {
    this.#parts.push(part);
    const wake = this.#wake;
    this.#renew();
    wake();
  }

  #renew(): void {
    this.#changed = new Promise((resolve) => {
      this.#wake = resolve;
    });
  }
}
