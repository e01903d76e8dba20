import type { GenerationRequest } from '../engine/request.ts';
import type { TokenConstraint } from '../engine/token-constraint.ts';
import { GrammarError } from '../grammar/errors.ts';
import type { GrammarPool, GrammarSequence } from '../grammar/grammar-pool.ts';
import type { OutputFormat } from '../grammar/output-format.ts';
import type { Next } from '../grammar/worker-messages.ts';
import type { TextModel } from './text-model.ts';

/** The tokens that keep a text in a format, and those that end it where it may end. */
export class FormatConstraint implements TokenConstraint {
  readonly #pool: GrammarPool;
  readonly #sequence: Promise<GrammarSequence>;
  readonly #stopTokens: readonly number[];
  readonly #given: Uint32Array | undefined;
  readonly #words: number;
  /** The tokens that the sequence was told. */
  #told: readonly number[] = [];
  readonly rewinds = true;

  constructor(model: TextModel, format: OutputFormat, { stopTokens = [], sampler }: GenerationRequest) {
    this.#pool = model.grammars();
    this.#sequence = this.#pool.open(format);
    this.#sequence.catch(() => {}); // the first step tells
    this.#stopTokens = stopTokens;
    this.#given = sampler?.settings?.allowed;
    this.#words = Math.ceil(model.config.vocabularySize / 32);
  }

  async allowed(stream: readonly number[], promptTokens: number): Promise<Uint32Array> {
    const sequence = await this.#sequence;
    const wanted = stream.slice(promptTokens);
    let length = 0;
    while (length < wanted.length && this.#told[length] === wanted[length]) length++;
    const isThere = length === wanted.length && length === this.#told.length;
    this.#told = wanted;
    if (isThere) return this.#mask(sequence.next);
    return this.#mask(await this.#pool.next({ sequence, length, accept: wanted.slice(length) }));
  }

  /** Idempotent. */
  readonly end = (): void => {
    this.#sequence.then(
      (sequence) => this.#pool.close(sequence),
      () => {},
    );
  };

  #mask({ mask, complete }: Next): Uint32Array {
    const all = new Uint32Array(this.#words);
    all.set(mask.subarray(0, this.#words));
    for (const id of this.#stopTokens) {
      // only where the text may end, whatever else the token stands for
      if (complete) all[id >> 5]! |= 1 << (id & 31);
      else all[id >> 5]! &= ~(1 << (id & 31));
    }
    const given = this.#given;
    if (given) for (let word = 0; word < all.length; word++) all[word]! &= given[word] ?? 0;
    if (all.every((word) => word === 0))
      throw new GrammarError('generate: no token may come next by the format and allowedTokens together');
    return all;
  }
}
