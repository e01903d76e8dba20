import type { TokenConstraint } from '../../engine/token-constraint.ts';
import type { IncrementalDecoder } from '../../tokenizer/incremental-decoder.ts';
import type { AnswerReader } from './answer-format.ts';

/** What a budget is kept with. */
interface Budget {
  readonly tokens: number;
  /** Decodes and reads the same answer for itself. */
  readonly decoder: IncrementalDecoder;
  readonly reader: AnswerReader;
  /** The tokens that end the reasoning. */
  readonly end: readonly number[];
  readonly vocabularySize: number;
  /** What may come otherwise; everything by default. */
  readonly otherwise: TokenConstraint | undefined;
  readonly given: Uint32Array | undefined;
}

/** Ends the reasoning of an answer after so many tokens of it: from then on only the tokens of its end may come, one by one. */
export class ReasoningBudget implements TokenConstraint {
  readonly #budget: Budget;
  readonly #all: Uint32Array;
  #read = 0;
  #spent = 0;
  #forced: readonly number[] | undefined;

  constructor(budget: Budget) {
    this.#budget = budget;
    this.#all = budget.given ?? new Uint32Array(Math.ceil(budget.vocabularySize / 32)).fill(2 ** 32 - 1);
  }

  async allowed(stream: readonly number[], promptTokens: number): Promise<Uint32Array> {
    const { tokens, decoder, reader, end, otherwise } = this.#budget;
    for (const token of stream.slice(promptTokens + this.#read)) {
      this.#read++;
      const reasoned = reader.reasons;
      reader.push(decoder.push(token));
      if (reasoned && reader.reasons) this.#spent++;
    }
    const length = stream.length - promptTokens;
    // what follows a format has to see every token
    const others = await otherwise?.allowed(stream, promptTokens);
    if (this.#forced === undefined && reader.reasons && this.#spent >= tokens) this.#forced = place(end, length);
    const next = this.#forced?.[length];
    if (next === undefined) return others ?? this.#all;
    const only = new Uint32Array(this.#all.length);
    only[next >> 5]! |= 1 << (next & 31);
    return only;
  }
}

/** A list in which the tokens stand at the positions at which they are to come. */
function place(tokens: readonly number[], at: number): readonly number[] {
  const placed: number[] = [];
  for (const [i, token] of tokens.entries()) placed[at + i] = token;
  return placed;
}
