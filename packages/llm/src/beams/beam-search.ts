import { ArgumentError, checkOptions } from '@heddle/tensor';
import type { Engine } from '../engine/engine.ts';
import type { GenerationRequest } from '../engine/request.ts';
import { greedy } from '../sampler.ts';
import { mostTopLogprobs, type TokenLogprobs } from '../sampling/logprobs.ts';
import { Beams, type EarlyStopping } from './beams.ts';

/** What to search for. */
export interface BeamSearchOptions
  extends Pick<
    GenerationRequest,
    'tokens' | 'maxTokens' | 'stopTokens' | 'priority' | 'tenant' | 'adapter' | 'deadlineMs' | 'onCached'
  > {
  /** Sequences that are followed at once. Default 4. */
  readonly beams?: number;
  /** How many of the best are given, at most `beams`. Default 1. */
  readonly count?: number;
  /** Scores are sums of log-probabilities divided by the length to this power: above 0 favours long ones. Default 1. */
  readonly lengthPenalty?: number;
  /**
   * true: ends when as many have ended as there are beams. false: when the best running one is no better than the worst of those, as
   * things stand. 'never': when it could not become better at any length. Default false.
   */
  readonly earlyStopping?: EarlyStopping;
  readonly signal?: AbortSignal;
}

/** A sequence that was found. */
export interface BeamResult {
  /** Generated tokens, with the end token where there is one. */
  readonly tokens: readonly number[];
  /** The sum of their log-probabilities, divided by their number to the power of the length penalty. */
  readonly score: number;
}

const names = [
  ...['tokens', 'maxTokens', 'stopTokens', 'priority', 'tenant', 'adapter', 'deadlineMs', 'onCached'],
  ...['beams', 'count', 'lengthPenalty', 'earlyStopping', 'signal'],
];

/**
 * Searches for the most likely sequences, following several beams at once: results and scores are those of transformers'
 * `generate(num_beams=..., do_sample=False)`. The engine computes the beams beside its other requests, each token of a beam once;
 * beams share the cache of what they have in common.
 * @throws ArgumentError; the signal's reason; what the engine's `generate` throws
 * @example
 * const [best] = await beamSearch(engine, { tokens, maxTokens: 32, stopTokens: model.config.eosTokenIds });
 */
export async function beamSearch(
  engine: Pick<Engine, 'generate' | 'release'>,
  options: BeamSearchOptions,
): Promise<readonly BeamResult[]> {
  checkOptions('beamSearch', options, names);
  const { tokens, maxTokens, stopTokens = [], beams: size = 4, count = 1, signal, ...rest } = options;
  const { lengthPenalty = 1, earlyStopping = false, priority, tenant, adapter, deadlineMs, onCached } = rest;
  if (!(Number.isInteger(maxTokens) && maxTokens > 0))
    throw new ArgumentError(`beamSearch: maxTokens must be a positive integer, got ${String(maxTokens)}`);
  if (!(Number.isInteger(size) && size > 0 && Number.isInteger(count) && count > 0 && count <= size))
    throw new ArgumentError(
      `beamSearch: beams and count are integers from 1, count at most beams; got ${size}, ${count}`,
    );
  if (![true, false, 'never'].includes(earlyStopping) || !Number.isFinite(lengthPenalty))
    throw new ArgumentError(
      `beamSearch: earlyStopping is true, false or 'never' and lengthPenalty a number; got ${String(earlyStopping)}, ${String(lengthPenalty)}`,
    );
  const beams = new Beams({ beams: size, maxTokens, lengthPenalty, earlyStopping, stopTokens: new Set(stopTokens) });
  if (beams.width > mostTopLogprobs)
    throw new ArgumentError(
      `beamSearch: beams times one more than the end tokens may be ${mostTopLogprobs}, got ${size} beams and ${stopTokens.length} end tokens`,
    );
  const search = crypto.randomUUID();
  const shared = {
    ...{ maxTokens: 1, hold: true, sampler: greedy(), topLogprobs: beams.width },
    ...(priority !== undefined && { priority }),
    ...(tenant !== undefined && { tenant }),
    ...(adapter !== undefined && { adapter }),
  };
  let parents: string[] = [];
  const deadline = performance.now() + (deadlineMs ?? Number.POSITIVE_INFINITY);
  try {
    for (let turn = 0; !beams.done; turn++) {
      const ids = beams.running.map((_, beam) => `search ${search}, token ${turn}, beam ${beam}`);
      const controller = new AbortController();
      const both = signal ? AbortSignal.any([signal, controller.signal]) : controller.signal;
      const last = async ({ tokens: generated, from }: (typeof beams.running)[number], beam: number) => {
        let found: TokenLogprobs['top'] = [];
        const request = {
          ...{ ...shared, id: ids[beam]!, tokens: [...tokens, ...generated] },
          ...(turn > 0 ? { parent: parents[from]! } : onCached && { onCached }),
          ...(deadlineMs !== undefined && { deadlineMs: deadline - performance.now() }),
          onLogprobs: ({ top }: TokenLogprobs) => {
            found = top;
          },
        };
        for await (const _ of engine.generate(request, { signal: both }));
        return found;
      };
      const running = beams.running.map(last);
      const parted = parents;
      parents = ids;
      try {
        beams.advance(await Promise.all(running));
      } catch (error) {
        controller.abort(error); // one that fails ends the others
        await Promise.allSettled(running);
        throw error;
      } finally {
        for (const id of parted) engine.release(id);
      }
    }
    return beams.finished.slice(0, count);
  } finally {
    for (const id of parents) engine.release(id);
  }
}
