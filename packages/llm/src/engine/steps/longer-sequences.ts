import { BatcherError } from '@heddle/batcher';
import type { KvBatch, KvCache } from '@heddle/kvcache';
import type { CausalLm } from '../../models/causal-lm.ts';
import { failAlone } from './fail-alone.ts';
import type { StepRows } from './forward-step.ts';
import type { Chunk, StepLayout } from './step-rows.ts';

/** Where what is computed of a token depends on how long its sequence is, only sequences that are all short share tokens. */
export function shareUpTo({ lengthScaling }: CausalLm): number {
  return lengthScaling ? (lengthScaling.recomputeBeyond ?? 0) : Number.POSITIVE_INFINITY;
}

/** The length beyond which a sequence is computed in another way. */
export function recomputeBeyond({ lengthScaling }: CausalLm): number {
  return lengthScaling?.recomputeBeyond ?? Number.POSITIVE_INFINITY;
}

/** Whether a sequence grows with this chunk beyond the length at which the model computes it in another way. */
function outgrows({ request, start, end }: Chunk, beyond: number): boolean {
  return start > 0 && end > beyond && Math.max(start, request.promptTokens) <= beyond;
}

/** Whether nothing more is computed of a request. */
export const isOver = ({ request }: Chunk): boolean => request.ended || request.stranded;

/** Where and how `recompute` computes. */
export interface Recomputation {
  readonly cache: KvCache;
  readonly layout: StepLayout;
  readonly maxBatchTokens: number;
  /** Gives up caches that are kept for nobody who runs. @returns whether there were any */
  readonly makeRoom: () => boolean;
  /** Runs the forward pass over rows of one sequence, and counts them as written. */
  readonly run: (rows: StepRows, batch: KvBatch) => Promise<unknown>;
}

/**
 * Computes anew what is cached of sequences that grow beyond the length at which the model computes them in another way. One for
 * which that fails ends alone: with `ERR_CAPACITY` where others have what it shared with them, and there is no room beside.
 * @param before when the host knows all of their tokens, and whether they have ended
 */
export async function recomputeWhereLonger(
  sequences: readonly Chunk[],
  before: Promise<unknown>,
  beyond: number,
  how: Recomputation,
): Promise<void> {
  for (const chunk of sequences) {
    if (!outgrows(chunk, beyond)) continue;
    await before;
    if (isOver(chunk)) continue;
    try {
      await recompute(chunk, beyond, how);
    } catch (error) {
      failAlone(chunk.request, error);
    }
  }
}

/** Computes what is cached of a sequence anew, as the longer sequence that it is now. The host knows all of its tokens. */
async function recompute(
  { request, start, end }: Chunk,
  beyond: number,
  { cache, layout, maxBatchTokens, makeRoom, run }: Recomputation,
): Promise<void> {
  const kv = request.kv!;
  kv.truncate(0);
  const room = Math.max(end, request.room);
  if (!kv.reserve(room) && !(makeRoom() && kv.reserve(room)))
    throw new BatcherError(
      'ERR_CAPACITY',
      `generate: '${request.id}' is longer than ${beyond} tokens now, so what it shared with others is computed anew; the cache has no room for ${room} tokens of its own while they run`,
    );
  for (let from = 0; from < start; from += maxBatchTokens) {
    const to = Math.min(start, from + maxBatchTokens);
    const rows = layout.of([{ request, start: from, end: to, drafts: 0, yields: false }]);
    rows.sequenceLengths.fill(end);
    await run(rows, cache.batch([{ sequence: kv, tokens: to - from }]));
  }
}
