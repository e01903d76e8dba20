import type { ScheduledGeneration } from '../request.ts';
import { type Chunk, choosingRows } from './step-rows.ts';

/** The rows of a step of which a token is chosen, in the order of its chunks; each step in the memory of the one before. */
export class ChoosingRows {
  readonly requests: ScheduledGeneration[] = [];
  /** How many tokens of the request were generated before the row's, drafts included. */
  readonly indices: number[] = [];
  /** In a step with drafts: those that stand before each row. */
  drafts: (readonly number[])[] | undefined;

  of(chunks: readonly Chunk[]): this {
    const guesses = chunks.some(({ drafts }) => drafts > 0);
    this.drafts = guesses ? [] : undefined;
    let R = 0;
    for (let i = 0; i < chunks.length; i++) {
      const chunk = chunks[i]!;
      const { request, end, drafts } = chunk;
      const rows = choosingRows(chunk);
      for (let row = 0; row < rows; row++) {
        this.requests[R] = request;
        this.indices[R++] = end - drafts - request.promptTokens + row;
        this.drafts?.push(row === 0 ? [] : request.guessing!.drafts.slice(0, row));
      }
    }
    this.requests.length = R;
    this.indices.length = R;
    return this;
  }
}
