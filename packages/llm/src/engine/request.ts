import type { SequenceRequest } from '@heddle/batcher';
import type { KvSequence } from '@heddle/kvcache';
import { ArgumentError, checkOptions } from '@heddle/tensor';
import { checkStopTokens, describe } from '../describe.ts';
import { checkTokens } from '../models/row-logits.ts';
import type { Sampler } from '../sampler.ts';
import { mostTopLogprobs, type TokenLogprobs } from '../sampling/logprobs.ts';
import type { DeviceSampling } from '../sampling/sample-plan.ts';
import type { HeldAdapter, RequestAdapters } from './request-adapters.ts';
import type { Guessing, Speculating, SpeculationWish } from './speculating.ts';
import type { TokenConstraint } from './token-constraint.ts';

/** What a user asks an engine to generate. */
export interface GenerationRequest {
  /** Token ids, at least one. */
  readonly tokens: readonly number[];
  /** Most tokens to generate. */
  readonly maxTokens: number;
  /** Tokens that end the generation; the one that came is the last of the stream. By default none. */
  readonly stopTokens?: readonly number[];
  /** By default the engine's. */
  readonly sampler?: Sampler;
  /**
   * What its sampler is told to tell it from others with the same seed, an integer from 0, below 2^32. By default 0 where the
   * sampler's seed was named, so that the same seed gives the same text again; otherwise the request's number in the engine.
   * Name one for several different answers with one seed.
   */
  readonly sequence?: number;
  /**
   * Told of each token's log-probability by the model alone, before the token comes through the stream. What it throws ends the
   * request.
   */
  readonly onLogprobs?: (logprobs: TokenLogprobs) => void;
  /** Told how many tokens of the prompt the cache had, each time that the request begins to run. */
  readonly onCached?: (tokens: number) => void;
  /** How many of the most likely tokens it is told with each, from 0 to 20. Default 0. */
  readonly topLogprobs?: number;
  /**
   * Which tokens may come after those that came. Needs a sampler with `allowedTokens`, of which the mask takes the place, and an
   * engine that chooses with it on the device. The caller's, who ends it when the request has ended.
   */
  readonly constraint?: TokenConstraint;
  /** The name of an adapter that is added to the model, of the engine's `adapters`. By default none. */
  readonly adapter?: string;
  /** False guesses no tokens of it, another value fewer at once than the engine's `speculation` does. By default as many. */
  readonly speculation?: SpeculationWish;
  /**
   * The id of a request that runs, or that ended with `hold`, whose tokens begin like this one's: its cache is shared, to the last
   * token, and copied where one of them writes. Of use for all but the last token of this one; what differs is computed anew.
   */
  readonly parent?: string;
  /** Keep its cache when it ends at `maxTokens`, for requests with it as `parent`: until `release`, or as long as there is room. */
  readonly hold?: boolean;
  /** Unique among those alive; by default a number. */
  readonly id?: string;
  /** Higher goes first, where the scheduler's policy looks at it. */
  readonly priority?: number;
  /** Who shares with whom, where the policy is fair by tenant. */
  readonly tenant?: string;
  /** Milliseconds from now after which the request is finished, wherever it stands. */
  readonly deadlineMs?: number;
}

/** A request on its way through the scheduler, with what the engine keeps of it. */
export interface ScheduledGeneration extends SequenceRequest {
  /** Prompt and generated tokens, those whose steps have come back. */
  readonly stream: number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly sampler: Sampler;
  readonly sequence: number;
  readonly onLogprobs?: ((logprobs: TokenLogprobs) => void) | undefined;
  /** Undefined where nobody is told. */
  readonly topLogprobs?: number | undefined;
  readonly constraint?: TokenConstraint | undefined;
  readonly onCached?: ((tokens: number) => void) | undefined;
  readonly adapter?: HeldAdapter | undefined;
  readonly hold?: boolean;
  /** Why its constraint could not tell what may come: what is chosen then is nobody's. */
  failure?: { readonly error: unknown /** After how many drafts. */; readonly row: number };
  /** Undefined where nothing is guessed of it. */
  readonly guessing?: Guessing | undefined;
  /** Whether its tokens are chosen on the host. */
  readonly choosesOnHost: boolean;
  /** As the scheduler asks for it: while something is guessed of it, or its tokens are chosen on the host. */
  serial: boolean;
  /** Steps of it whose results have not come. */
  flights: number;
  /** Its cache while it is admitted. */
  kv: KvSequence | undefined;
  /** Tokens that its cache has room for: with those of steps that are planned and not submitted. */
  room: number;
  /** Its place in what the device keeps of every request while it is admitted; otherwise -1. */
  lane: number;
  /** Whether a step of it could not be submitted: later ones leave it out. */
  stranded: boolean;
  /** Whether its last token has come back, or an error: what later steps give for it is nobody's. */
  ended: boolean;
}

/** Every name of a `GenerationRequest`, and none else. */
const known: Readonly<Record<keyof GenerationRequest, true>> = {
  tokens: true,
  maxTokens: true,
  stopTokens: true,
  sampler: true,
  sequence: true,
  onLogprobs: true,
  onCached: true,
  topLogprobs: true,
  constraint: true,
  adapter: true,
  speculation: true,
  parent: true,
  hold: true,
  id: true,
  priority: true,
  tenant: true,
  deadlineMs: true,
};

/** The request with what it leaves to the engine. @throws ArgumentError */
export function scheduledGeneration(
  asked: GenerationRequest,
  engine: {
    readonly number: number;
    readonly sampler: Sampler;
    readonly vocabularySize: number;
    readonly sampling: Pick<DeviceSampling, 'planOf' | 'allow'>;
    readonly adapters?: RequestAdapters | undefined;
    readonly speculating?: Speculating | undefined;
  },
): ScheduledGeneration {
  checkOptions('generate', asked, Object.keys(known));
  const { tokens, stopTokens = [], adapter, speculation, ...request } = asked;
  const { id = `request ${engine.number}`, sampler = engine.sampler } = request;
  if (typeof sampler?.sample !== 'function')
    throw new ArgumentError(`generate: sampler must be one, as sampler() gives it, got ${describe(sampler)}`);
  const { sequence = sampler.repeats ? 0 : engine.number } = request;
  if (!Array.isArray(tokens) && !ArrayBuffer.isView(tokens))
    throw new ArgumentError(`generate: tokens must be a list of token ids, got ${describe(tokens)}`);
  if (tokens.length === 0) throw new ArgumentError('generate: a prompt has at least one token, got none');
  checkTokens('generate', tokens, engine.vocabularySize);
  if (!Number.isInteger(sequence) || sequence < 0 || sequence >= 2 ** 32)
    throw new ArgumentError(`generate: sequence must be an integer from 0, below 2^32, got ${sequence}`);
  checkStopTokens('generate', stopTokens);
  const { onLogprobs, topLogprobs = 0 } = request;
  if (!(Number.isInteger(topLogprobs) && topLogprobs >= 0 && topLogprobs <= mostTopLogprobs))
    throw new ArgumentError(`generate: topLogprobs must be from 0 to ${mostTopLogprobs}, got ${topLogprobs}`);
  if (request.constraint && !(sampler.settings?.allowed && engine.sampling.allow))
    throw new ArgumentError(
      `generate: a constraint needs a sampler with allowedTokens and an engine that chooses with it on the device, got sampler '${sampler.name}'`,
    );
  if (adapter !== undefined && !engine.adapters)
    throw new ArgumentError(`generate: the engine has no adapters, got adapter '${adapter}'`);
  if (speculation && !engine.speculating)
    throw new ArgumentError('generate: speculation needs an engine that was opened with speculation');
  const guesses = !request.constraint || request.constraint.rewinds === true;
  const guessing = guesses ? engine.speculating?.begin(speculation) : undefined;
  // a token that is chosen on the host is not on the device when the next step could be submitted
  const choosesOnHost = engine.sampling.planOf(sampler) === undefined;
  return {
    ...request,
    adapter: adapter === undefined ? undefined : engine.adapters!.hold(adapter),
    id,
    sequence,
    sampler,
    topLogprobs: onLogprobs && topLogprobs,
    promptTokens: tokens.length,
    stream: [...tokens],
    stopTokens: new Set(stopTokens),
    guessing,
    choosesOnHost,
    serial: choosesOnHost || (guessing !== undefined && engine.speculating!.waits),
    flights: 0,
    kv: undefined,
    room: 0,
    lane: -1,
    stranded: false,
    ended: false,
  };
}
