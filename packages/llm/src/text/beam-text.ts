import type { TokenStream } from '@heddle/batcher';
import { ArgumentError } from '@heddle/tensor';
import { type BeamSearchOptions, beamSearch } from '../beams/beam-search.ts';
import { describe } from '../describe.ts';
import { samplerOptionNames } from '../sampling/options.ts';
import type { TextModel } from './text-model.ts';
import type { TextOptions, TextRequest } from './text-options.ts';
import type { TextResult } from './text-result.ts';
import { readText } from './text-stream.ts';

/** How the most likely texts are searched for, in place of drawing. */
export type BeamOptions = Pick<BeamSearchOptions, 'beams' | 'lengthPenalty' | 'earlyStopping'>;

export const beamOptionNames: readonly (keyof BeamOptions)[] = ['beams', 'lengthPenalty', 'earlyStopping'];

/** What says how tokens are drawn or bound, of which a search makes nothing. */
const notOfBeams = ['sampler', 'stop', 'format', 'logprobs', 'speculation', ...samplerOptionNames] as const;

/** Whether a search is asked for. @throws ArgumentError where there are options of one and no `beams`, or some that it does not have */
export function asksForBeams(operation: string, options: TextOptions & BeamOptions & { readonly n?: number }): boolean {
  if (options.beams === undefined) {
    const alone = beamOptionNames.find((name) => options[name] !== undefined);
    if (alone) throw new ArgumentError(`${operation}: ${alone} is of a search with beams, got no beams`);
    return false;
  }
  const { beams, n = 1 } = options;
  if (!(Number.isSafeInteger(beams) && beams > 0 && n <= beams))
    throw new ArgumentError(
      `${operation}: beams must be an integer from 1, and n at most as many, got ${typeof beams === 'number' ? beams : describe(beams)} and ${n}`,
    );
  const other = notOfBeams.find((name) => options[name] !== undefined);
  if (other)
    throw new ArgumentError(
      `${operation}: beams follow the model's own probabilities, without ${other}; got beams ${beams} and ${other}`,
    );
  return true;
}

/**
 * The most likely texts, the best first.
 * @throws ArgumentError; the signal's reason; what the engine's `generate` throws
 */
export async function beamTexts(
  operation: string,
  model: TextModel,
  started: TextRequest,
  options: BeamOptions & { readonly count: number },
): Promise<readonly TextResult[]> {
  const { request, signal, format, answer } = started;
  if (format !== undefined || answer?.budget !== undefined)
    throw new ArgumentError(`${operation}: beams take no tools that bind the text, and no budget of reasoning`);
  const { engine } = model;
  const { release } = engine;
  if (!release) throw new ArgumentError(`${operation}: beams need an engine with release, got one without`);
  const { tokens, maxTokens, stopTokens = [], priority, tenant, adapter, deadlineMs } = request;
  let cached = 0;
  const found = await beamSearch(
    { generate: engine.generate.bind(engine), release: release.bind(engine) },
    {
      ...{ tokens, maxTokens, stopTokens, ...options },
      onCached: (count) => {
        cached = count;
      },
      ...(priority !== undefined && { priority }),
      ...(tenant !== undefined && { tenant }),
      ...(adapter !== undefined && { adapter }),
      ...(deadlineMs !== undefined && { deadlineMs }),
      ...(signal && { signal }),
    },
  );
  const results: TextResult[] = [];
  for (const { tokens, score } of found) {
    const reason = stopTokens.includes(tokens.at(-1)!) ? 'stop' : 'length';
    const text = readText(model, written(tokens, reason), started, { cached: () => cached });
    results.push({ ...(await text.result), score });
  }
  return results;
}

/** The stream of tokens that are all there. */
function written(tokens: readonly number[], reason: 'stop' | 'length'): TokenStream {
  const left = [...tokens];
  const over = { done: true, value: undefined } as const;
  return {
    ended: Promise.resolve({ reason, newTokens: tokens.length }),
    next: async () => (left.length > 0 ? { done: false, value: left.shift()! } : over),
    return: async () => over,
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}
