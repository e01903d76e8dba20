import type { ScheduledSequence } from '@heddle/batcher';
import type { ScheduledGeneration } from '../request.ts';
import type { StepRows } from './forward-step.ts';
import { HostColumn } from './host-column.ts';

/** A part of a sequence that is computed. */
export type Chunk = Pick<ScheduledSequence<ScheduledGeneration>, 'request' | 'start' | 'end' | 'drafts' | 'yields'>;

/** Whether a step chooses the next token after a chunk. */
export const chooses = ({ request, yields }: Chunk): boolean => yields && request.maxTokens > 0;

/** Of how many rows of a chunk the next token is chosen: the last one that is known, and every draft. */
export const choosingRows = (chunk: Chunk): number => (chooses(chunk) ? 1 + chunk.drafts : 0);

/** Lays the rows of steps out, each step in the memory of the one before. */
export class StepLayout {
  readonly #tokens: HostColumn<Int32Array>;
  readonly #lengths: HostColumn<Int32Array>;
  readonly #rows: HostColumn<Int32Array>;
  readonly #adapters: HostColumn<Int32Array>;
  readonly #recomputeBeyond: number;

  /**
   * @param maxRows the most rows of a step of which a token is chosen
   * @param recomputeBeyond the length beyond which a row's whole step counts for the length of its sequence
   */
  constructor(maxBatchTokens: number, maxRows: number, recomputeBeyond: number) {
    this.#tokens = new HostColumn(new Int32Array(maxBatchTokens));
    this.#lengths = new HostColumn(new Int32Array(maxBatchTokens));
    this.#rows = new HostColumn(new Int32Array(maxRows));
    this.#adapters = new HostColumn(new Int32Array(maxBatchTokens));
    this.#recomputeBeyond = recomputeBeyond;
  }

  /**
   * Tokens of all rows, and those of which a token is chosen. A row counts a prompt as whole, and beyond the given length its whole
   * step: what it is must not depend on chunks. A draft is a step of its own. A token that the host does not know yet is the one
   * that the device has chosen last.
   */
  of(chunks: readonly Chunk[]): StepRows {
    let [count, choosing, adapted] = [0, 0, false];
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      count += chunk.end - chunk.start;
      choosing += choosingRows(chunk);
      if (chunk.request.adapter) adapted = true;
    }
    const tokens = this.#tokens.of(count);
    const sequenceLengths = this.#lengths.of(count);
    const rows = this.#rows.of(choosing);
    const adapters = adapted ? this.#adapters.of(count) : undefined;
    let [row, place] = [0, 0];
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      const { start, end, drafts } = chunk;
      const { stream, promptTokens, lane, adapter, guessing } = chunk.request;
      const known = end - drafts;
      adapters?.fill(adapter?.place ?? 0, row, row + end - start);
      for (let position = start; position < end; position++, row++) {
        tokens[row] =
          position >= known
            ? guessing!.drafts[position - known]!
            : position < stream.length
              ? stream[position]!
              : -1 - lane;
        const length = end > this.#recomputeBeyond ? Math.max(known, position + 1) : position + 1;
        sequenceLengths[row] = Math.max(promptTokens, length);
      }
      for (let back = choosingRows(chunk); back > 0; back--) rows[place++] = row - back;
    }
    return { tokens, rows, sequenceLengths, adapters };
  }
}
