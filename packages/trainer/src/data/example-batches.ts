import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import { TrainingError } from '../errors.ts';
import { ItemOrder, orderKinds } from './cursor.ts';
import type { TokenExample } from './encode-examples.ts';
import { type BatchStream, checkSizes, type LanguageBatch, streamOf, type TokenBatchOptions } from './token-batches.ts';

/** Rows in which examples lie one after the other; all i32 `[rows, length]`. */
export interface PackedBatch extends LanguageBatch {
  /** Places within the example, from 0. */
  readonly positions: { readonly data: Int32Array; readonly shape: readonly [number, number] };
  /** Which example of its row a token belongs to; -1 for padding. For attention, which must not look from one into another. */
  readonly segments: { readonly data: Int32Array; readonly shape: readonly [number, number] };
}

export interface ExampleBatchOptions extends TokenBatchOptions {
  /** Whether a row takes as many examples as fit, or one; true where not named. */
  readonly pack?: boolean;
  /** What stands where there is no token; 0 where not named. It is not learned. */
  readonly padToken?: number;
  /** What happens to an example of more than `length` + 1 tokens: 'throw' where not named. */
  readonly tooLong?: 'throw' | 'truncate' | 'skip';
}

/**
 * Batches of examples, in an order that is the same for the same seed, everywhere. Targets are the tokens that follow, -100 where
 * these are not learned: prompts, padding, and the first token of the next example.
 * @throws ArgumentError; TrainingError `ERR_EMPTY_DATA`, and `ERR_DATA` for an example that is too long or of which nothing is learned
 */
export function exampleBatches(
  examples: readonly TokenExample[],
  options: ExampleBatchOptions,
): BatchStream<PackedBatch> {
  checkArguments('exampleBatches', 'list', { examples });
  checkOptions('exampleBatches', options, { ...orderKinds, pack: 'boolean?', padToken: 'whole?', tooLong: 'anything' });
  for (const [i, example] of examples.entries()) {
    checkOptions(`exampleBatches: examples[${i}]`, example, { tokens: 'numbers', learned: 'numbers' });
  }
  const { rows, length, dropLast = false, pack = true, padToken = 0, tooLong = 'throw' } = options;
  checkSizes('exampleBatches', { rows, length });
  if (!['throw', 'truncate', 'skip'].includes(tooLong))
    throw new ArgumentError(`exampleBatches: tooLong takes 'throw', 'truncate' and 'skip', got ${String(tooLong)}`);
  const usable = examples.filter((example, i) => isUsable(example, i, length, tooLong));
  const order = new ItemOrder('exampleBatches', usable.length, options);

  const nextRow = (): TokenExample[] | undefined => {
    const row: TokenExample[] = [];
    let used = 0;
    for (let index = order.peek(); index !== undefined; index = order.peek()) {
      const example = usable[index]!;
      const size = Math.min(length, example.tokens.length - 1);
      if (row.length > 0 && (!pack || used + size > length)) break;
      row.push(example);
      used += size;
      order.advance();
    }
    return row.length > 0 ? row : undefined;
  };
  const next = async (): Promise<PackedBatch | undefined> => {
    const found: TokenExample[][] = [];
    while (found.length < rows) {
      const row = nextRow();
      if (!row) break;
      found.push(row);
    }
    if (found.length === 0 || (dropLast && found.length < rows)) return undefined;
    return packed(found, length, padToken);
  };
  return streamOf(order, next);
}

/** Whether an example gives something to learn within a row. @throws TrainingError `ERR_DATA` */
function isUsable({ tokens, learned }: TokenExample, index: number, length: number, tooLong: string): boolean {
  if (tokens.length !== learned.length)
    throw new ArgumentError(`exampleBatches: example ${index} has ${tokens.length} tokens and ${learned.length} marks`);
  if (tokens.length > length + 1) {
    if (tooLong === 'skip') return false;
    if (tooLong === 'throw')
      throw new TrainingError(
        'ERR_DATA',
        `exampleBatches: example ${index} has ${tokens.length} tokens, a row takes ${length + 1}; see tooLong`,
      );
  }
  if (learned.subarray(1, length + 1).includes(1)) return true;
  if (tooLong === 'truncate' && tokens.length > length + 1) return false; // only its prompt fits
  throw new TrainingError('ERR_DATA', `exampleBatches: nothing is learned of example ${index}`);
}

function packed(rows: readonly (readonly TokenExample[])[], length: number, padToken: number): PackedBatch {
  const shape = [rows.length, length] as const;
  const filled = (value: number) => new Int32Array(rows.length * length).fill(value);
  const [tokens, targets, positions, segments] = [filled(padToken), filled(-100), filled(0), filled(-1)];
  for (const [r, row] of rows.entries()) {
    let at = r * length;
    for (const [segment, example] of row.entries()) {
      const size = Math.min(length, example.tokens.length - 1);
      for (let i = 0; i < size; i++, at++) {
        tokens[at] = example.tokens[i]!;
        if (example.learned[i + 1]) targets[at] = example.tokens[i + 1]!;
        positions[at] = i;
        segments[at] = segment;
      }
    }
  }
  const array = (data: Int32Array) => ({ data, shape });
  return { tokens: array(tokens), targets: array(targets), positions: array(positions), segments: array(segments) };
}
