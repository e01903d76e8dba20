import type { ScheduledSequence, SequenceResult, StepPlan } from '@heddle/batcher';
import { ArgumentError } from '@heddle/tensor';
import type { ScheduledGeneration } from './request.ts';

type Chunk = ScheduledSequence<ScheduledGeneration>;

/** What one submission computes of a step: rows of one request, and where its chunk stands in the step's plan. */
export interface StepPart {
  readonly chunk: Chunk;
  readonly place: number;
  /** Whether the chunk ends with it: its result is the chunk's. */
  readonly last: boolean;
}

/** How an engine computes every request by itself, so that its bits are its own. */
export interface DeterministicSteps {
  /** Prompts are computed in chunks of so many tokens, counted from their beginning; the last one may be shorter. */
  readonly chunkTokens: number;
}

/** The last end of a whole chunk of a prompt, at or before a length. */
export const wholeChunks = (length: number, { chunkTokens }: DeterministicSteps): number =>
  length - (length % chunkTokens);

/** The most tokens that a cache may have of a prompt when a request begins: whole chunks, and at least one token is left. */
export function sharedTokens(promptTokens: number, steps: DeterministicSteps): number {
  return wholeChunks(promptTokens - 1, steps);
}

/**
 * A step in parts that depend on their request alone: the chunks of a prompt, and then each token by itself. A sequence that was
 * preempted is computed again in the same parts.
 * @throws ArgumentError where the scheduler has cut a prompt elsewhere
 */
export function partsOf(sequences: readonly Chunk[], steps: DeterministicSteps): readonly StepPart[] {
  const parts: StepPart[] = [];
  for (const [place, chunk] of sequences.entries()) {
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

/** Runs a step part by part, each in a submission of its own. Rejects where one has failed, when all are over. */
export async function runApart(
  { step, sequences }: StepPlan<ScheduledGeneration>,
  steps: DeterministicSteps,
  run: (part: StepPlan<ScheduledGeneration>) => Promise<readonly (SequenceResult | undefined)[]>,
): Promise<(SequenceResult | undefined)[]> {
  const results = new Array<SequenceResult | undefined>(sequences.length).fill(undefined);
  const parts = partsOf(sequences, steps);
  const runs = parts.map(({ chunk }) => run({ step, sequences: [chunk], tokens: chunk.end - chunk.start }));
  for (const [i, settled] of (await Promise.allSettled(runs)).entries()) {
    const { place, last } = parts[i]!;
    if (settled.status === 'fulfilled') {
      if (last) results[place] = settled.value[0];
      continue;
    }
    for (const { request } of sequences) request.ended = true;
    throw settled.reason;
  }
  return results;
}
