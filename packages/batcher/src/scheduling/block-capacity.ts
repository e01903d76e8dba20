import { checkOptions, count } from '../checks.ts';
import type { Capacity } from './capacity.ts';
import type { SequenceRequest } from './scheduler.ts';

/** A `Capacity` that only counts, with its figures. */
export interface CountingCapacity extends Capacity {
  /** Units (blocks, or slots) in all, and not taken now. */
  readonly total: number;
  readonly free: number;
}

/**
 * A pool of `blocks` blocks of `blockSize` tokens (1 counts single tokens), handed out by number alone: nothing is stored
 * and nothing shared. For models of a paged cache, for engines whose cache finds its own room, and for tests.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function blockCapacity(options: { readonly blocks: number; readonly blockSize: number }): CountingCapacity {
  checkOptions('blockCapacity', options, { blocks: count(1), blockSize: count(1) });
  const { blocks, blockSize } = options;
  const held = new Map<string, number>();
  let free = blocks;
  const reserve = ({ id }: SequenceRequest, tokens: number): boolean => {
    const have = held.get(id) ?? 0;
    const more = Math.ceil(tokens / blockSize) - have;
    if (more > free) return false;
    if (more > 0) {
      held.set(id, have + more);
      free -= more;
    }
    return true;
  };
  return {
    maxSequenceTokens: blocks * blockSize,
    total: blocks,
    get free() {
      return free;
    },
    admit: (request, tokens) => (reserve(request, tokens) ? 0 : 'full'),
    reserve,
    release({ id }) {
      free += held.get(id) ?? 0;
      held.delete(id);
    },
  };
}

/**
 * `slots` rows of `tokensPerSlot` tokens, one for each sequence: a contiguous cache.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function slotCapacity(options: { readonly slots: number; readonly tokensPerSlot: number }): CountingCapacity {
  checkOptions('slotCapacity', options, { slots: count(1), tokensPerSlot: count(1) });
  const { slots, tokensPerSlot } = options;
  const rows = blockCapacity({ blocks: slots, blockSize: tokensPerSlot });
  return {
    maxSequenceTokens: tokensPerSlot,
    total: slots,
    get free() {
      return rows.free;
    },
    admit: rows.admit,
    reserve: rows.reserve,
    release: rows.release,
  };
}
