import { argmax, greater, isNan, less, max, type Tensor, type Update, where } from '@heddle/tensor';
import type { Sampler } from '../sampler.ts';

/** What a sample plan computes with: the rows of a step that yield a token, in the order of their sequences. */
export interface SampleInputs {
  /** f32 `[R, V]`, as the model gave them. */
  readonly logits: Tensor;
  /** By name, `[R]`: the columns of the plan, as `fill` wrote them. */
  readonly columns: Readonly<Record<string, Tensor>>;
  /**
   * i32 `[R]`: the place that each row's request has while it runs, from 0 to `maxSequences - 1`. No two rows have the same, but for
   * those with drafts.
   */
  readonly lanes: Tensor;
  /**
   * i32 `[R, K]`, in steps with drafts of plans that look back (`drafts: 'ahead'`): the drafts that stand before each row in its
   * sequence and were not chosen yet, -1 behind the last. Rows of a sequence follow each other, with one draft more each.
   */
  readonly ahead?: Tensor;
}

/** What a sample plan gives. */
export interface SampleOutputs {
  /** i32 `[R]`: the chosen tokens; in rows that have no usable number what `unusable` gives, which is negative. */
  readonly tokens: Tensor;
  /** Changes of what the plan keeps by lane: counts of tokens. */
  readonly updates: readonly Update[];
}

/** Whose row is filled in. */
export interface SampledRow {
  /** The request's sampler, one that this plan or an earlier one of the list is for. */
  readonly sampler: Sampler;
  /** What tells the request from others with the same seed, an integer from 0, below 2^32. */
  readonly sequence: number;
  /** How many tokens the request has generated before, those in flight included. */
  readonly index: number;
}

/** A column of host values, one for each row. */
export type SampleColumn = Float32Array | Int32Array | Uint32Array;

/** One way to choose the tokens of all rows of a step on the device. It is compiled once, when a step first needs it. */
export interface SamplePlan {
  /** For reports; tells the plans of an engine apart. */
  readonly name: string;
  /** The columns that it is fed, by name. */
  readonly columns: Readonly<Record<string, 'f32' | 'i32' | 'u32'>>;
  /**
   * What it takes for several rows of one request in a step, which verify drafts: nothing where a row depends on its logits and
   * columns alone, otherwise `ahead`. Where it is absent, an engine with this plan does not speculate.
   */
  readonly drafts?: 'alone' | 'ahead';
  /** Writes a row's values at place `row` of the columns. Called in every step; allocates nothing. */
  fill(columns: Readonly<Record<string, SampleColumn>>, row: number, of: SampledRow): void;
  /** Records the plan. */
  record(inputs: SampleInputs): SampleOutputs;
}

/** How an engine chooses tokens on the device. Made for one engine, which disposes of it. */
export interface DeviceSampling extends Disposable {
  /** From the cheapest to the one that does everything: a step takes the last that one of its rows needs. */
  readonly plans: readonly SamplePlan[];
  /** Where in `plans` the cheapest one for a sampler stands; undefined for one that chooses on the host. */
  planOf(sampler: Sampler): number | undefined;
  /**
   * A request takes a lane: called in the turn before its first step is submitted, and again where it comes back after it lost
   * its place. What it enqueues on the device comes before that step.
   * @param tokens prompt and generated tokens so far
   * @param promptTokens how many of them are the prompt; by default all
   */
  begin?(lane: number, sampler: Sampler, tokens: readonly number[], promptTokens?: number): void;
  /**
   * The tokens that the request of a lane, whose sampler has `allowedTokens`, may generate in the steps that are run from now on, as
   * a mask: bit `id % 32` of word `id / 32`.
   * @param drafts how many drafts of a step stand before; default 0
   */
  allow?(lane: number, mask: Uint32Array, drafts?: number): void;
}

/** The largest finite f32. */
const largest = (2 - 2 ** -23) * 2 ** 127;

/**
 * `tokens` `[R]` where the rows of the logits `[R, V]` are usable. Otherwise -1: a row holds NaN; -2: its largest value is
 * +Infinity; -3: none is finite. Any token that a plan gives is made so.
 */
export function unusable(logits: Tensor, tokens: Tensor): Tensor {
  const top = max(logits, -1); // NaN where the row holds one
  return where(isNan(top), -1, where(greater(top, largest), -2, where(less(top, -largest), -3, tokens)));
}

/** The most likely token of each row; among equals that of the lowest id. */
export const greedyPlan: SamplePlan = {
  name: 'greedy',
  columns: {},
  drafts: 'alone',
  fill: () => {},
  record: ({ logits }) => ({ tokens: unusable(logits, argmax(logits, -1)), updates: [] }),
};

/** Takes the most likely token on the device; whatever else is asked for is done on the host. */
export function greedySampling(): DeviceSampling {
  return {
    plans: [greedyPlan],
    planOf: (sampler) => (sampler.takesMostLikely ? 0 : undefined),
    [Symbol.dispose]: () => {},
  };
}
