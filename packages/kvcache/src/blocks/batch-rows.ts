import { ArgumentError } from '@heddle/tensor';
import type { KvBatchRows } from '../kv-cache.ts';
import { assertCount, BlockSequence, type SequenceOwner } from './block-sequence.ts';
import type { SavedState } from './state-list.ts';
import type { StepRows } from './step-rows.ts';

/** The rows of a step, whose number tells a sequence that is named twice. @throws ArgumentError as `KvCache.batch` does */
export function checkedRows(
  rows: readonly KvBatchRows[],
  cache: SequenceOwner,
  step: number,
  maxBatchTokens: number | undefined,
): StepRows {
  const count = rows.length;
  const sequences = new Array<BlockSequence>(count);
  const counts = new Array<number>(count);
  let keeps: KvBatchRows['keep'][] | undefined;
  let total = 0;
  for (let b = 0; b < count; b++) {
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
    sequences[b] = sequence;
    counts[b] = tokens;
    if (keep === undefined) continue;
    if (keep !== 'end') checkKeep(sequence, tokens, keep);
    keeps ??= new Array<KvBatchRows['keep']>(count).fill(undefined);
    keeps[b] = keep;
  }
  if (maxBatchTokens !== undefined && total > maxBatchTokens)
    throw new ArgumentError(`batch: takes at most ${maxBatchTokens} rows (maxBatchTokens), got ${total}`);
  return { sequences, tokens: counts, keep: keeps };
}

/**
 * All or nothing, and once: a sequence that has changed since a step was laid out is of another step.
 * @throws ArgumentError
 */
export function assertUnchanged(
  { sequences, tokens }: StepRows,
  lengths: Int32Array,
  saving: readonly (readonly SavedState[])[] | undefined,
): void {
  for (let b = 0; b < sequences.length; b++) {
    const sequence = sequences[b]!;
    const count = tokens[b]!;
    if (sequence.length !== lengths[b] || sequence.reserved < lengths[b]! + count)
      throw new ArgumentError(
        `advance: the batch was laid out when ${sequence.id} had ${lengths[b]} tokens and room for ${count} more, now it has ${sequence.length} and room for ${sequence.reserved - sequence.length}`,
      );
    if (saving && count > 0 && sequence.states.pending !== saving[b])
      throw new ArgumentError(`advance: ${sequence.id} was laid out again since`);
    sequence.assertUsable('advance');
  }
}

function checkKeep({ id, length }: BlockSequence, tokens: number, keep: readonly number[]): void {
  for (const position of keep)
    if (!(Number.isSafeInteger(position) && length <= position && position <= length + tokens))
      throw new ArgumentError(
        `batch: keep must name lengths of ${id} from ${length} to ${length + tokens}, got ${String(position)}`,
      );
}
