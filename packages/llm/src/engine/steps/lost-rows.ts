import { CacheIntegrityError } from '@heddle/kvcache';
import { failAlone } from './fail-alone.ts';
import type { Recomputation } from './longer-sequences.ts';
import type { Chunk } from './step-rows.ts';

type How = Pick<Recomputation, 'cache' | 'layout' | 'maxBatchTokens' | 'run'>;

/**
 * Computes again what a cache could not keep of sequences when drafts were taken back: a state in the middle of a step, rows of a
 * window. One for which that fails ends alone.
 * @returns whether anything was
 */
export async function computeWhatIsLost(chunks: readonly Chunk[], how: How): Promise<boolean> {
  let any = false;
  for (const chunk of chunks) {
    if (chunk.request.kv!.length === chunk.start) continue;
    any = true;
    try {
      await computeRows(chunk, how);
    } catch (error) {
      failAlone(chunk.request, error);
    }
  }
  return any;
}

async function computeRows({ request, start }: Chunk, { cache, layout, maxBatchTokens, run }: How): Promise<void> {
  const kv = request.kv!;
  if (kv.length > start) kv.truncate(start);
  for (let from = kv.length; from < start; from = kv.length) {
    if (!request.guessing)
      throw new CacheIntegrityError(`cache: ${kv.id} has ${from} tokens where the step goes on at ${start}`);
    const end = Math.min(start, from + maxBatchTokens);
    const rows = layout.of([{ request, start: from, end, drafts: 0, yields: false }]);
    await run(rows, cache.batch([{ sequence: kv, tokens: end - from }]));
  }
}
