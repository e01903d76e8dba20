/** What a beam may go on with: a token, and the natural logarithm of its probability. */
export interface Continuation {
  readonly token: number;
  readonly logprob: number;
}

/** When the search ends before all beams are as long as they may be. */
export type EarlyStopping = boolean | 'never';

export interface BeamRules {
  readonly beams: number;
  readonly maxTokens: number;
  readonly lengthPenalty: number;
  readonly earlyStopping: EarlyStopping;
  readonly stopTokens: ReadonlySet<number>;
}

/** Generated tokens, and the sum of their log-probabilities. */
export interface RunningBeam {
  readonly tokens: readonly number[];
  readonly sum: number;
  /** Which of the beams before it goes on from. */
  readonly from: number;
}

export interface FinishedBeam {
  readonly tokens: readonly number[];
  readonly score: number;
}

/**
 * The beams of one prompt, by the rules of transformers' beam search: of all continuations twice as many as beams are kept (more
 * where there are several end tokens), so that enough go on when some end; only the best as many as there are beams may end.
 */
export class Beams {
  readonly #rules: BeamRules;
  /** Of continuations that are looked at in each turn. */
  readonly width: number;
  running: readonly RunningBeam[] = [{ tokens: [], sum: 0, from: 0 }];
  finished: readonly FinishedBeam[] = [];
  done = false;
  #length = 0;

  constructor(rules: BeamRules) {
    this.#rules = rules;
    this.width = Math.max(2, 1 + rules.stopTokens.size) * rules.beams;
  }

  /** Goes on by one token. @param found for each running beam its most likely continuations, `width` of them */
  advance(found: readonly (readonly Continuation[])[]): void {
    const { beams, maxTokens, lengthPenalty, earlyStopping, stopTokens } = this.#rules;
    const all = this.running.flatMap(({ tokens, sum }, from) =>
      found[from]!.map(({ token, logprob }) => ({ tokens: [...tokens, token], sum: sum + logprob, from })),
    );
    const best = all.sort((a, b) => b.sum - a.sum).slice(0, this.width);
    this.#length++;
    const ends = ({ tokens }: RunningBeam) => tokens.length >= maxTokens || stopTokens.has(tokens.at(-1)!);
    this.running = best.filter((beam) => !ends(beam)).slice(0, beams);
    if (!(earlyStopping === true && this.finished.length >= beams)) {
      const ended = best
        .slice(0, beams)
        .filter(ends)
        .map(({ tokens, sum }) => ({ tokens, score: sum / this.#length ** lengthPenalty }));
      this.finished = [...this.finished, ...ended].sort((a, b) => b.score - a.score).slice(0, beams);
    }
    this.done = this.running.length === 0 || this.#isFull() || !this.#mayImprove();
  }

  #isFull(): boolean {
    return this.#rules.earlyStopping === true && this.finished.length >= this.#rules.beams;
  }

  /** Whether the best of the running beams could still be better than the worst of those that have ended. */
  #mayImprove(): boolean {
    const { beams, maxTokens, lengthPenalty, earlyStopping } = this.#rules;
    if (this.finished.length < beams) return true;
    const length = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : this.#length;
    return this.running[0]!.sum / length ** lengthPenalty > this.finished.at(-1)!.score;
  }
}
