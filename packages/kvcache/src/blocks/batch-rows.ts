import { ArgumentError } from '@heddle/tensor';
import type { KvBatchRows } from '../kv-cache.ts';
import { assertCount, BlockSequence, type SequenceOwner } from './block-sequence.ts';
import type { SequenceRows } from './step-layout.ts';

/** The rows of a step, whose number tells a sequence that is named twice. @throws ArgumentError as `KvCache.batch` does */
export function checkedRows(
  rows: readonly KvBatchRows[],
  cache: SequenceOwner,
  step: number,
  maxBatchTokens: number | undefined,
): readonly SequenceRows[] {
  const own: SequenceRows[] = [];
  let total = 0;
  for (let b = 0; b < rows.length; b++) {
    const { sequence, tokens, keep = [] } = rows[b]!;
    if (!(sequence instanceof BlockSequence) || sequence.cache !== cache || sequence.disposed)
      throw new ArgumentError(`batch: ${sequence.id} is no open sequence of this cache`);
    sequence.assertUsable('batch');
    assertCount('batch', tokens);
    if (sequence.length + tokens > sequence.reserved)
      throw new ArgumentError(
        `batch: ${sequence.id} has ${sequence.reserved} tokens reserved, got ${sequence.length} + ${tokens}`,
      );
    if (sequence.step === step) throw new ArgumentError('batch: a sequence must be named once, with all its rows');
    sequence.step = step;
    total += tokens;
    if (keep === 'end') own.push({ sequence, tokens, keep: [], only: keep });
    else own.push({ sequence, tokens, keep: checkedKeep(sequence, tokens, keep) });
  }
  if (maxBatchTokens !== undefined && total > maxBatchTokens)
    throw new ArgumentError(`batch: takes at most ${maxBatchTokens} rows (maxBatchTokens), got ${total}`);
  return own;
}

function checkedKeep({ id, length }: BlockSequence, tokens: number, keep: readonly number[]): readonly number[] {
  for (const position of keep)
    if (!(Number.isSafeInteger(position) && length <= position && position <= length + tokens))
      throw new ArgumentError(
        `batch: keep must name lengths of ${id} from ${length} to ${length + tokens}, got ${String(position)}`,
      );
  return keep;
}
