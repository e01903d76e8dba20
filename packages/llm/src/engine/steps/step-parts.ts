import type { AttentionKernel } from '@heddle/attention';
import type { ScheduledSequence, SequenceResult, StepPlan } from '@heddle/batcher';
import { ArgumentError } from '@heddle/tensor';
import type { ScheduledGeneration } from '../request.ts';
import { failAlone } from './fail-alone.ts';

type Chunk = ScheduledSequence<ScheduledGeneration>;

/** What one submission computes of a step: rows of one request, and where its chunk stands in the step's plan. */
interface StepPart {
  readonly chunk: Chunk;
  readonly place: number;
  /** Whether the chunk ends with it: its result is the chunk's. */
  readonly last: boolean;
}

/** How an engine computes requests so that the bits of each are its own. */
export interface DeterministicSteps {
  /** Prompts are computed in chunks of so many tokens, counted from their beginning; the last one may be shorter. */
  readonly chunkTokens: number;
  /**
   * Attention with which what a row gives does not depend on other rows (`singleRows()` on WebGPU): generated tokens of several
   * requests are then computed together. Where it is absent, each is computed by itself.
   */
  readonly decoding?: AttentionKernel;
}

/** The last end of a whole chunk of a prompt, at or before a length. */
export const wholeChunks = (length: number, { chunkTokens }: DeterministicSteps): number =>
  length - (length % chunkTokens);

/** The most tokens that a cache may have of a prompt when a request begins: whole chunks, and at least one token is left. */
export function sharedTokens(promptTokens: number, steps: DeterministicSteps): number {
  return wholeChunks(promptTokens - 1, steps);
}

/**
 * A chunk in parts that depend on its request alone: the chunks of a prompt, and then each token by itself. A sequence that was
 * preempted is computed again in the same parts.
 * @throws ArgumentError where the scheduler has cut a prompt elsewhere
 */
function partsOf(chunk: Chunk, place: number, steps: DeterministicSteps): readonly StepPart[] {
  const parts: StepPart[] = [];
  const { request, start, end } = chunk;
  const { promptTokens } = request;
  checkCut(chunk, start, steps);
  if (end < promptTokens) checkCut(chunk, end, steps);
  for (let at = start; at < end; ) {
    const whole = Math.min(promptTokens, wholeChunks(at, steps) + steps.chunkTokens);
    const to = at < promptTokens ? Math.min(end, whole) : at + 1;
    const last = to === end;
    parts.push({ chunk: { ...chunk, start: at, end: to, yields: last && chunk.yields }, place, last });
    at = to;
  }
  return parts;
}

function checkCut({ id, request, start, end }: Chunk, at: number, { chunkTokens }: DeterministicSteps): void {
  if (at >= request.promptTokens || at % chunkTokens === 0) return;
  throw new ArgumentError(
    `generate: a deterministic engine computes prompts in chunks that end at multiples of ${chunkTokens} tokens (the scheduler's chunkMultiple); the scheduler has planned tokens ${start} to ${end} of '${id}'`,
  );
}

/**
 * The chunk of a deterministic engine: the largest power of two, up to 256, that a step has room for beside a token of every other
 * sequence. Shorter ones share more of a prompt, longer ones are computed faster.
 * @throws ArgumentError where there is no room
 */
export function chunkFor(maxBatchTokens: number, maxSequences: number): DeterministicSteps {
  const room = maxBatchTokens - (maxSequences - 1);
  if (room < 1)
    throw new ArgumentError(
      `openEngine: deterministic needs maxBatchTokens of at least maxSequences, got ${maxBatchTokens} and ${maxSequences}`,
    );
  return { chunkTokens: Math.min(256, 2 ** Math.floor(Math.log2(room))) };
}

/** What is submitted at once: parts of a step that do not change each other. */
interface Submission {
  readonly parts: readonly StepPart[];
  /** Whether all of them are single tokens behind prompts, for the kernels of `decoding`. */
  readonly decodes: boolean;
}

/** How a submission of a step is run. */
interface SubmissionRunner {
  /** Requests of one kind run the same kernels when each is by itself, so they may run together. */
  kindOf(request: ScheduledGeneration): number;
  run(plan: StepPlan<ScheduledGeneration>, decodes: boolean): Promise<readonly (SequenceResult | undefined)[]>;
}

/** The parts of a step in the order in which they are computed: those of prompts one by one, then token after token of all others. */
function submissionsOf(
  parts: readonly StepPart[],
  steps: DeterministicSteps,
  kindOf: SubmissionRunner['kindOf'],
): readonly Submission[] {
  const apart: Submission[] = [];
  const rounds = new Map<string, StepPart[]>();
  let round = 0;
  for (const [i, part] of parts.entries()) {
    const { request, start } = part.chunk;
    if (!steps.decoding || start < request.promptTokens) apart.push({ parts: [part], decodes: false });
    else {
      // the tokens of a sequence that was preempted come one after the other
      round = parts[i - 1]?.place === part.place ? round + 1 : 0;
      const key = `${round} ${kindOf(request)}`;
      rounds.set(key, [...(rounds.get(key) ?? []), part]);
    }
  }
  return [...apart, ...[...rounds.values()].map((together) => ({ parts: together, decodes: true }))];
}

/**
 * Runs a step in submissions, each of them on its own, and resolves when all are over. Where one has failed, or a chunk is cut where
 * it must not be, the requests of that one end with the error and no others.
 */
export async function runApart(
  { step, sequences }: StepPlan<ScheduledGeneration>,
  steps: DeterministicSteps,
  { kindOf, run }: SubmissionRunner,
): Promise<(SequenceResult | undefined)[]> {
  const results = new Array<SequenceResult | undefined>(sequences.length).fill(undefined);
  const fail = (place: number, error: unknown) => {
    results[place] ??= { tokens: [], finish: 'error', error };
  };
  const parts = sequences.flatMap((chunk, place) => {
    try {
      return partsOf(chunk, place, steps);
    } catch (error) {
      failAlone(chunk.request, error);
      fail(place, error);
      return [];
    }
  });
  const submissions = submissionsOf(parts, steps, kindOf);
  const runs = submissions.map(({ parts, decodes }) => {
    const tokens = parts.reduce((sum, { chunk }) => sum + chunk.end - chunk.start, 0);
    return run({ step, sequences: parts.map(({ chunk }) => chunk), tokens }, decodes);
  });
  for (const [i, settled] of (await Promise.allSettled(runs)).entries())
    for (const [at, { place, last }] of submissions[i]!.parts.entries()) {
      if (settled.status === 'rejected') fail(place, settled.reason);
      // an error of an earlier part is the chunk's
      else if (last || settled.value[at]?.finish === 'error') results[place] ??= settled.value[at];
    }
  return results;
}
