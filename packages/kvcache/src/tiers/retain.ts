import { ArgumentError, checkOptions } from '@heddle/tensor';
import { isRows, type KvShape } from '../kv-shape.ts';
import { checkStore, type KvTier } from './kv-tier.ts';

/**
 * How much of a sequence is kept where, in tokens, each a multiple of the block size: rows that leave one tier go to the next one,
 * the oldest first, and stay within reach of `range`.
 */
export interface RetainOptions {
  /** The last tokens, in the device's memory in their dtype: what attention reads. At least two blocks. */
  readonly hot: number;
  /** Before them, in the device's memory as integers of 8 bits. Default 0. */
  readonly warm?: number;
  /** Before them, in the host's memory. Default 0. */
  readonly cold?: number;
  /** Tokens in front that stay hot, beside those (attention sinks). Default 0. */
  readonly keepFirst?: number;
  /** Where what is older goes; without one it is evicted. */
  readonly store?: KvTier;
  /** Hears of blocks of the store that were missing, damaged or not taken. */
  readonly onNote?: (note: string) => void;
}

/** The stores of a cache whose attention reads the hot part: windows that end on blocks. @throws ArgumentError */
export function hotShape(shape: KvShape, retain: RetainOptions, blockSize: number): KvShape {
  checkOptions('pagedCache: retain', retain, {
    hot: 'size',
    warm: 'whole?',
    cold: 'whole?',
    keepFirst: 'whole?',
    store: 'object?',
    onNote: 'function?',
  });
  const { hot, warm = 0, cold = 0, keepFirst = 0 } = retain;
  checkStore('pagedCache: retain.store', retain.store);
  for (const [name, tokens, least] of [
    ['hot', hot, 2 * blockSize],
    ['warm', warm, 0],
    ['cold', cold, 0],
    ['keepFirst', keepFirst, 0],
  ] as const)
    if (tokens < least || tokens % blockSize !== 0)
      throw new ArgumentError(
        `pagedCache: retain.${name} must be a multiple of the block size ${blockSize} from ${least}, got ${tokens}`,
      );
  return {
    layers: shape.layers.map((layer, index) =>
      Object.fromEntries(
        Object.entries(layer).map(([name, store]) => {
          if (!isRows(store))
            throw new ArgumentError(`pagedCache: retain takes rows, ${name} of layer ${index} is a state`);
          if (store.window !== undefined)
            throw new ArgumentError(`pagedCache: retain takes no windows, ${name} of layer ${index} has one`);
          return [name, { ...store, window: hot - blockSize + 1, keepFirst }];
        }),
      ),
    ),
  };
}
