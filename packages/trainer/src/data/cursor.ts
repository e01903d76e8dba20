import { ArgumentError, checkOptions, type OptionKinds } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { permutation } from './permutation.ts';

/** Where an iteration stands: plain values, for a checkpoint. */
export interface DataCursor {
  readonly seed: number;
  readonly epoch: number;
  /** Items of this epoch that were taken. */
  readonly place: number;
}

export interface OrderOptions {
  /** Of the order; 0 where not named. */
  readonly seed?: number;
  /** Whether each epoch has an order of its own, or that of the data; true where not named. */
  readonly shuffle?: boolean;
  /** How often the data is gone over; without end where not named. */
  readonly epochs?: number;
  /** Where to begin: what an earlier iteration over the same data said. */
  readonly cursor?: DataCursor;
}

/** What an order takes, for `checkOptions`. */
export const orderKinds: OptionKinds = {
  rows: 'number',
  length: 'number',
  dropLast: 'boolean?',
  seed: 'number?',
  shuffle: 'boolean?',
  epochs: 'number?',
  cursor: 'object?',
};

/** Indices of items, epoch after epoch, each in its order; and where that stands. */
export class ItemOrder {
  readonly #count: number;
  readonly #shuffle: boolean;
  readonly #epochs: number;
  readonly #seed: number;
  #epoch: number;
  #place: number;
  #order: (place: number) => number;

  /** @throws ArgumentError; TrainingError `ERR_EMPTY_DATA`, and `ERR_DATA` for a cursor of other data */
  constructor(name: string, count: number, options: OrderOptions) {
    const { shuffle = true, epochs = Number.POSITIVE_INFINITY, cursor } = options;
    if (cursor) checkOptions(`${name}: cursor`, cursor, { seed: 'number', epoch: 'whole', place: 'whole' });
    const seed = cursor?.seed ?? options.seed ?? 0;
    if (count === 0) throw new TrainingError('ERR_EMPTY_DATA', `${name}: there is no data for a single row`);
    if (!Number.isSafeInteger(seed)) throw new ArgumentError(`${name}: seed must be a whole number, got ${seed}`);
    if (!(epochs === Number.POSITIVE_INFINITY || (Number.isSafeInteger(epochs) && epochs > 0)))
      throw new ArgumentError(`${name}: epochs must be a whole number from 1, got ${epochs}`);
    const { epoch = 0, place = 0 } = cursor ?? {};
    if (![epoch, place].every((value) => Number.isSafeInteger(value) && value >= 0) || place > count)
      throw new TrainingError(
        'ERR_DATA',
        `${name}: the cursor is of other data: it stands at ${place} of epoch ${epoch}, and an epoch has ${count}`,
      );
    if (cursor && options.seed !== undefined && options.seed !== cursor.seed)
      throw new ArgumentError(`${name}: the cursor has seed ${cursor.seed}, got seed ${options.seed}`);
    [this.#count, this.#shuffle, this.#epochs, this.#seed] = [count, shuffle, epochs, seed];
    [this.#epoch, this.#place] = [epoch, place];
    this.#order = this.#newOrder();
  }

  get cursor(): DataCursor {
    return { seed: this.#seed, epoch: this.#epoch, place: this.#place };
  }

  /** The index that is next, or undefined after the last epoch. Does not move. */
  peek(): number | undefined {
    if (this.#place === this.#count) {
      if (this.#epoch + 1 >= this.#epochs) return undefined;
      this.#epoch++;
      this.#place = 0;
      this.#order = this.#newOrder();
    }
    return this.#epoch < this.#epochs ? this.#order(this.#place) : undefined;
  }
  advance(): void {
    this.#place++;
  }

  #newOrder(): (place: number) => number {
    return this.#shuffle ? permutation(this.#count, this.#seed, this.#epoch) : (place) => place;
  }
}
