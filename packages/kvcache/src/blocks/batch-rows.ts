import { ArgumentError } from '@heddle/tensor';
import type { KvBatchRows } from '../kv-cache.ts';
import { assertCount, BlockSequence, type SequenceOwner } from './block-sequence.ts';
import type { SavedState } from './state-list.ts';
import type { SequenceRows } from './step-layout.ts';

const none: readonly number[] = [];

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
    const { sequence, tokens, keep } = (rows[b] ?? {}) as KvBatchRows;
    if (!(sequence instanceof BlockSequence))
      throw new ArgumentError(`batch: rows[${b}].sequence must be a sequence of this cache, got ${typeof sequence}`);
    if (sequence.cache !== cache || sequence.disposed)
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
    const only = keep === 'end' ? keep : undefined;
    const positions = keep === undefined || keep === 'end' ? none : checkedKeep(sequence, tokens, keep);
    own.push({ sequence, tokens, keep: positions, only });
  }
  if (maxBatchTokens !== undefined && total > maxBatchTokens)
    throw new ArgumentError(`batch: takes at most ${maxBatchTokens} rows (maxBatchTokens), got ${total}`);
  return own;
}

/**
 * All or nothing, and once: a sequence that has changed since a step was laid out is of another step.
 * @throws ArgumentError
 */
export function assertUnchanged(
  own: readonly SequenceRows[],
  lengths: Int32Array,
  saving: readonly (readonly SavedState[])[] | undefined,
): void {
  for (let b = 0; b < own.length; b++) {
    const { sequence, tokens } = own[b]!;
    if (sequence.length !== lengths[b] || sequence.reserved < lengths[b]! + tokens)
      throw new ArgumentError(
        `advance: the batch was laid out when ${sequence.id} had ${lengths[b]} tokens and room for ${tokens} more, now it has ${sequence.length} and room for ${sequence.reserved - sequence.length}`,
      );
    if (saving && tokens > 0 && sequence.states.pending !== saving[b])
      throw new ArgumentError(`advance: ${sequence.id} was laid out again since`);
    sequence.assertUsable('advance');
  }
}

function checkedKeep({ id, length }: BlockSequence, tokens: number, keep: readonly number[]): readonly number[] {
  for (const position of keep)
    if (!(Number.isSafeInteger(position) && length <= position && position <= length + tokens))
      throw new ArgumentError(
        `batch: keep must name lengths of ${id} from ${length} to ${length + tokens}, got ${String(position)}`,
      );
  return keep;
}
