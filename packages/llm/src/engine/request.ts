import type { SequenceRequest } from '@heddle/batcher';
import type { KvSequence } from '@heddle/kvcache';
import type { Sampler } from '../sampler.ts';

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
  /** Unique among those alive; by default a number. */
  readonly id?: string;
  /** Higher goes first, where the scheduler's policy looks at it. */
  readonly priority?: number;
  /** Who shares with whom, where the policy is fair by tenant. */
  readonly tenant?: string;
  /** Clock time in ms at which the request is finished, wherever it stands. */
  readonly deadline?: number;
}

/** A request on its way through the scheduler, with what the engine keeps of it. */
export interface ScheduledGeneration extends SequenceRequest {
  /** Prompt and generated tokens. */
  readonly stream: number[];
  readonly stopTokens: ReadonlySet<number>;
  readonly sampler: Sampler;
  /** Tells sequences apart for seeded samplers. */
  readonly number: number;
  /** Its cache while it is admitted. */
  kv: KvSequence | undefined;
}
