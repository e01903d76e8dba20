import { ArgumentError } from '@heddle/tensor';
import type { EarlyStopping } from '../beams/beams.ts';
import { asksForBeams, beamOptionNames, beamTexts } from './beam-text.ts';
import { type TextOptions, textRequest } from './text-options.ts';
import type { TextResult, TextUsage } from './text-result.ts';
import { startText, type TextStream } from './text-stream.ts';

/** How many texts, and how they are searched for. */
export interface GenerateTextOptions extends TextOptions {
  /** How many texts. Default 1. Drawn ones have draws of their own, with `beams` they are the best that were found, at most as many. */
  readonly n?: number;
  /**
   * Sequences that a search for the most likely text follows at once, in place of drawing; 1 takes the most likely token each time.
   * By default there is no search. It takes no `stop`, `format`, `logprobs`, `speculation`, and nothing that says how to draw; what the
   * model's authors suggest of that is left out.
   */
  readonly beams?: number;
  /** With `beams`: scores are divided by the length to this power, so above 0 favours long texts. Default 1. */
  readonly lengthPenalty?: number;
  /** With `beams`, when the search ends: see `beamSearch`. Default false. */
  readonly earlyStopping?: EarlyStopping;
}

/** A text, and the others that were asked for with it. */
export interface GeneratedText extends TextResult {
  /** All `n` of them, of which the first is this one. Each counts the prompt; `usage` of this counts it once, and all outputs. */
  readonly samples: readonly TextResult[];
}

/**
 * Generates text from a prompt or a conversation, and waits for all of it.
 *
 * Without options the model's own defaults hold: its chat template, its end tokens and its `generation_config.json`. Requests
 * that come at once are computed together; prompts that begin alike are computed once.
 * @param options.n how many texts, each with draws of its own: default 1. The prompt is computed once, and its cache shared
 * @param options.beams searches for the most likely text, as transformers' `num_beams`; with `n` for so many, the best first, each with
 *   its `score`
 * @throws ArgumentError, the signal's reason, BatcherError `ERR_DEADLINE`, LogitsError, or what the tokenizer throws
 * @example
 * const { text, usage } = await generateText({ model, messages: [{ role: 'user', content: 'Why is the sky blue?' }] });
 * @example
 * const { text, score } = await generateText({ model, prompt, beams: 4, lengthPenalty: 0.8, earlyStopping: true });
 */
export async function generateText(options: GenerateTextOptions): Promise<GeneratedText> {
  const started = textRequest('generateText', options, ['n', ...beamOptionNames]);
  const { n = 1 } = options;
  if (!(Number.isSafeInteger(n) && n > 0 && n <= 2 ** 16))
    throw new ArgumentError(`generateText: n must be an integer from 1 to 65,536, got ${String(n)}`);
  if (asksForBeams('generateText', options)) {
    const { model, beams, lengthPenalty, earlyStopping } = options;
    const rules = { beams: beams!, lengthPenalty: lengthPenalty ?? 1, earlyStopping: earlyStopping ?? false, count: n };
    const samples = await beamTexts('generateText', model, started, rules);
    return { ...samples[0]!, samples, usage: usageOf(samples.map(({ usage }) => usage)) };
  }
  if (n === 1) {
    const result = await startText(options.model, started).result;
    return { ...result, samples: [result] };
  }
  // one that fails ends the others
  const controller = new AbortController();
  const signal = started.signal ? AbortSignal.any([started.signal, controller.signal]) : controller.signal;
  const streams: TextStream[] = [];
  try {
    const id = crypto.randomUUID();
    for (let sequence = 0; sequence < n; sequence++) {
      const request = { ...started.request, sequence, ...(sequence === 0 ? { id } : { parent: id }) };
      streams.push(startText(options.model, { ...started, signal, request }));
    }
    const samples = await Promise.all(streams.map((stream) => stream.result));
    return { ...samples[0]!, samples, usage: usageOf(samples.map(({ usage }) => usage)) };
  } catch (error) {
    controller.abort(error);
    await Promise.allSettled(streams.map((stream) => stream.result));
    throw error;
  }
}

/** What texts of one prompt took together. */
function usageOf(all: readonly TextUsage[]): TextUsage {
  const sum = (of: (usage: TextUsage) => number) => all.reduce((total, usage) => total + of(usage), 0);
  const [first] = all;
  const outputTokens = sum((usage) => usage.outputTokens);
  return {
    ...first!,
    outputTokens,
    totalTokens: first!.inputTokens + outputTokens,
    reasoningTokens: sum((usage) => usage.reasoningTokens),
    ...(first!.speculation && {
      speculation: {
        draftedTokens: sum(({ speculation }) => speculation?.draftedTokens ?? 0),
        acceptedTokens: sum(({ speculation }) => speculation?.acceptedTokens ?? 0),
      },
    }),
  };
}

/**
 * Generates text from a prompt or a conversation, and gives it as it comes. Otherwise as `generateText`; the generation begins
 * at once.
 * @throws ArgumentError, what the tokenizer throws, the signal's reason where it is aborted already; what goes wrong later is
 *   thrown by the loops and promises of the stream
 * @example
 * for await (const piece of streamText({ model, prompt: 'Once upon a time' })) process.stdout.write(piece);
 */
export function streamText(options: TextOptions): TextStream {
  return startText(options?.model, textRequest('streamText', options));
}
