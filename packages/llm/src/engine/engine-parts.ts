import type { AttentionKernel } from '@heddle/attention';
import type { Capacity, Scheduler } from '@heddle/batcher';
import type { KvCache } from '@heddle/kvcache';
import type { Device } from '@heddle/tensor';
import type { CausalLm, ForwardHooks } from '../models/causal-lm.ts';
import type { Sampler } from '../sampler.ts';
import type { DeviceSampling } from '../sampling/sample-plan.ts';
import type { Speculation } from '../speculation/speculation.ts';
import type { ScheduledGeneration } from './request.ts';
import type { RequestAdapters } from './request-adapters.ts';
import type { DeterministicSteps } from './steps/step-parts.ts';
import type { StepTimes } from './steps/step-trace.ts';

/** The parts of an engine; each is a value that can be one's own. */
export interface EngineParts {
  readonly device: Device;
  readonly model: CausalLm;
  readonly attention: AttentionKernel;
  /** Of the model's `kvShape`. Belongs to the engine from then on: its `dispose` ends it. */
  readonly cache: KvCache;
  /** Makes the scheduler over the cache's capacity. */
  readonly scheduler: (capacity: Capacity<ScheduledGeneration>) => Scheduler<ScheduledGeneration>;
  /** Adapters that requests may name, on the same device; they stay the caller's. Default none. */
  readonly adapters?: RequestAdapters;
  /** For requests that name none. */
  readonly sampler: Sampler;
  /**
   * What the device chooses tokens by; samplers that it has no plan for choose on the host. Belongs to the engine from then on.
   * Default: the most likely token on the device, all else on the host.
   */
  readonly sampling?: DeviceSampling;
  /** The most token rows that the scheduler plans for one step. */
  readonly maxBatchTokens: number;
  /**
   * Steps that are submitted before the tokens of the first of them were read, at most the scheduler's `maxPlansInFlight`: with
   * 2, the device computes a step while the host lays out the next. Default 1.
   */
  readonly stepsInFlight?: number;
  /** What is done to the residual stream between layers, in every step: tokens are shared with those of the same digest only. */
  readonly hooks?: ForwardHooks;
  /**
   * How tokens are guessed, several of which are then computed in one step: `promptLookup()`, `draftModel()`. Tokens are those that
   * come without; how fast they come depends on the guesses. By default none are.
   */
  readonly speculation?: Speculation;
  /**
   * Computes requests so that the logits of each are the same to the last bit whatever runs beside it. Needs a scheduler
   * that cuts prompts at multiples of `chunkTokens` (`chunkMultiple`), a cache that keeps exactly, and no speculation.
   */
  readonly deterministic?: DeterministicSteps;
  /** Told when each step did what, for a trace (`chromeTrace`). If it throws, the step's requests fail. */
  readonly onStep?: (step: StepTimes) => void;
}
