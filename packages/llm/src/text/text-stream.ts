import type { SchedulerEvent, TokenStream } from '@heddle/batcher';
import type { ScheduledGeneration } from '../engine/request.ts';
import type { TokenConstraint } from '../engine/token-constraint.ts';
import type { TokenLogprobs } from '../sampling/logprobs.ts';
import type { IncrementalDecoder } from '../tokenizer/incremental-decoder.ts';
import type { AnswerRequest } from './answers/answer-request.ts';
import { AnswerText } from './answers/answer-text.ts';
import { answerDecoder, answerTokens } from './answers/answer-tokens.ts';
import { ReasoningBudget } from './answers/reasoning-budget.ts';
import { FormatConstraint } from './format-constraint.ts';
import type { TextModel } from './text-model.ts';
import type { TextRequest } from './text-options.ts';
import type { TextFinish, TextPart, TextResult, TextUsage } from './text-result.ts';

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
  { request, stops, logprobs, signal, format, answer }: TextRequest,
  ended: (result: TextResult | undefined) => void = () => {},
): TextStream {
  const said: TokenLogprobs[] | undefined = logprobs === undefined ? undefined : [];
  const telling = said && { topLogprobs: logprobs!, onLogprobs: (each: TokenLogprobs) => said.push(each) };
  let cached: number | undefined;
  const onCached = (count: number) => {
    cached ??= count;
  };
  const following = format && new FormatConstraint(model, format, request);
  const decode = () => answer && decoderOf(model, answer, request.tokens);
  const constraint = bound(model, request, following, answer, decode);
  let tokens: TokenStream;
  let guessed: TextUsage['speculation'];
  const onEvent = ({ type, request: { guessing } }: SchedulerEvent<ScheduledGeneration>) => {
    if (type === 'finished' && guessing)
      guessed = { draftedTokens: guessing.drafted, acceptedTokens: guessing.accepted };
  };
  try {
    tokens = model.engine.generate(
      { ...request, ...telling, ...(constraint && { constraint }), onCached },
      { onEvent, ...(signal && { signal }) },
    );
  } catch (error) {
    following?.end();
    throw error;
  }
  if (following) tokens.ended.then(following.end, following.end);
  const told = { cached: () => cached ?? 0, guessed: () => guessed, logprobs: said, ended };
  return readText(model, tokens, { request, stops, answer }, told);
}

/** What is known of a generation beside its tokens. */
interface Told {
  /** Tokens of its prompt that the cache had. */
  cached(): number;
  guessed?(): TextUsage['speculation'];
  readonly logprobs?: readonly TokenLogprobs[] | undefined;
  /** See `startText`. */
  ended?(result: TextResult | undefined): void;
}

/** The text of a request's tokens, as they come. */
export function readText(
  model: Pick<TextModel, 'tokenizer' | 'requireTokenizer'>,
  tokens: TokenStream,
  { request, stops, answer }: Pick<TextRequest, 'request' | 'stops' | 'answer'>,
  { cached, guessed = () => undefined, logprobs, ended = () => {} }: Told,
): TextStream {
  const decoder = answer
    ? decoderOf(model, answer, request.tokens)
    : model.tokenizer?.stream({ after: request.tokens, skipSpecialTokens: true });
  const text = new AnswerText(stops, answer?.format.reader(answer.plan));
  return new RunningText(tokens, request.tokens, { decoder, text, cached, guessed }, logprobs, ended);
}

function decoderOf(
  model: Pick<TextModel, 'requireTokenizer'>,
  { format }: AnswerRequest,
  after: readonly number[],
): IncrementalDecoder {
  const tokenizer = model.requireTokenizer();
  return answerDecoder(tokenizer, answerTokens(tokenizer, format), after);
}

/** What may come next, where a format or a budget of reasoning says so. */
function bound(
  model: TextModel,
  { sampler }: TextRequest['request'],
  otherwise: TokenConstraint | undefined,
  answer: AnswerRequest | undefined,
  decode: () => IncrementalDecoder | undefined,
): TokenConstraint | undefined {
  if (answer?.budget === undefined) return otherwise;
  const { format, plan, budget: tokens } = answer;
  const { vocabularySize } = model.config;
  const end = model.requireTokenizer().encode(format.endOfReasoning, { addSpecialTokens: false });
  const given = sampler?.settings?.allowed;
  return new ReasoningBudget({
    tokens,
    decoder: decode()!,
    reader: format.reader(plan),
    end,
    vocabularySize,
    otherwise,
    given,
  });
}

/** What turns tokens into text. */
interface Reading {
  readonly decoder: IncrementalDecoder | undefined;
  readonly text: AnswerText;
  cached(): number;
  guessed(): TextUsage['speculation'];
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
    reading: Reading,
    logprobs: readonly TokenLogprobs[] | undefined,
    ended: (result: TextResult | undefined) => void,
  ) {
    this.#source = source;
    this.#renew();
    this.result = this.#run(prompt, reading, logprobs)
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
    { decoder, text, cached, guessed }: Reading,
    logprobs: readonly TokenLogprobs[] | undefined,
  ): Promise<TextResult> {
    const tokens: number[] = [];
    const pass = (parts: readonly TextPart[], said?: TokenLogprobs) => {
      for (const [i, part] of parts.entries()) this.#push(i === 0 && said ? { ...part, logprobs: said } : part);
    };
    try {
      this.#push({ type: 'start', tokens: prompt });
      for await (const token of this.#source) {
        tokens.push(token);
        pass(text.push(decoder?.push(token) ?? '', [token]), logprobs?.[tokens.length - 1]);
        if (text.stop !== undefined) break; // which frees what the request held
      }
      if (text.stop === undefined) pass(text.finish(decoder?.finish() ?? ''));
      const { reason } = await this.#source.ended;
      const { stop } = text;
      const stopped = stop !== undefined || reason === 'stop';
      const finishReason = stopped
        ? text.calls.length > 0
          ? 'tool-calls'
          : 'stop'
        : reason === 'length'
          ? 'length'
          : 'aborted';
      const speculation = guessed();
      const usage = {
        inputTokens: prompt.length,
        outputTokens: tokens.length,
        totalTokens: prompt.length + tokens.length,
        cachedTokens: cached(),
        reasoningTokens: text.reasoningTokens,
        ...(speculation && { speculation }),
      };
      const end = { finishReason, stop, usage } as const;
      this.#push({ type: 'finish', ...end });
      const { reasoning, calls: toolCalls } = text;
      return { text: text.text, reasoning, toolCalls, tokens, ...end, logprobs: logprobs?.slice(0, tokens.length) };
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
