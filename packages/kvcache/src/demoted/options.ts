import { ArgumentError, checkOptions } from '@heddle/tensor';
import { checkedFormat, type FormatOf, isRows, type KvShape, keepsExactly } from '../kv-shape.ts';
import { checkStore, type KvTier } from '../tiers/kv-tier.ts';

/**
 * Where tokens go that no sequence holds, when the device's memory is needed, so that prompts to come can begin with them: the
 * device's memory again with 8 bits a value, the host's memory, a store. From there they are brought back when a prompt begins
 * with them.
 */
export interface PrefixTierOptions {
  /**
   * Tokens that are kept in the device's memory as integers of 8 bits. What comes back from there was rounded: prompts with `exact`
   * do not begin with it. A multiple of the block size; default 0, so that what comes back is what was there, bit by bit.
   */
  readonly warm?: number;
  /** Tokens that are kept in the host's memory, a multiple of the block size. Default 0. */
  readonly cold?: number;
  /** Where what is older goes. What it has is found again by other processes, too, and after a restart. */
  readonly store?: KvTier;
  /**
   * With a store: tells the model, and whatever else decides keys and values (weights, adapters that are merged, activations),
   * from others; a digest of its files is a good one. Blocks of another model are never read.
   */
  readonly model?: string;
  /** Goes into the names of the store's blocks: without it nobody can tell from a name what a block is of. Default ''. */
  readonly salt?: string;
  /**
   * Whether loading has to be quicker than computing, as measured so far, or is always done. 'measured' needs loading to take at
   * most 0.8 of the time, and tries again now and then. Default 'measured'.
   */
  readonly load?: 'measured' | 'always';
  /**
   * Milliseconds in which a store must give something of a prompt; then what has come is taken, and the rest counts as missing. Time
   * in which the thread is at work and could not have heard it does not count. Default 1000.
   */
  readonly timeoutMs?: number;
  /** Hears of blocks of the store that were damaged, not taken or too late. */
  readonly onNote?: (note: string) => void;
}

/** @throws ArgumentError */
export function checkTiers(
  tiers: PrefixTierOptions,
  { shape, blockSize, formatOf }: { readonly shape: KvShape; readonly blockSize: number; readonly formatOf: FormatOf },
): void {
  checkOptions('pagedCache: tiers', tiers, {
    warm: 'whole?',
    cold: 'whole?',
    store: 'object?',
    model: 'text?',
    salt: 'text?',
    load: [undefined, 'measured', 'always'],
    timeoutMs: 'positive?',
    onNote: 'function?',
  });
  const { warm = 0, cold = 0, store, model } = tiers;
  for (const [name, tokens] of Object.entries({ warm, cold }))
    if (tokens % blockSize !== 0)
      throw new ArgumentError(
        `pagedCache: tiers.${name} must be a multiple of the block size ${blockSize} from 0, got ${tokens}`,
      );
  if (warm === 0 && cold === 0 && !store)
    throw new ArgumentError('pagedCache: tiers must have warm, cold or a store, got none of them');
  checkStore('pagedCache: tiers.store', store);
  if (store && !model)
    throw new ArgumentError(`pagedCache: tiers.model must tell the store's model from others, got ${String(model)}`);
  if (warm === 0) return;
  if (!keepsExactly(shape, formatOf))
    throw new ArgumentError('pagedCache: tiers.warm takes rows of their own dtype, and there is a format beside it');
  checkedFormat('pagedCache: tiers.warm', shape, { bits: 8 });
}

/** What stores are kept in where that is not their own dtype, by layer and name. */
export function formatsOf(shape: KvShape, formatOf: FormatOf, warm: boolean): Readonly<Record<string, unknown>> {
  const formats: Record<string, unknown> = warm ? { warm: 8 } : {};
  for (const [index, layer] of shape.layers.entries())
    for (const [name, store] of Object.entries(layer)) {
      const format = isRows(store) ? formatOf(store, name, index) : undefined;
      if (format) formats[`${index} ${name}`] = format;
    }
  return formats;
}
