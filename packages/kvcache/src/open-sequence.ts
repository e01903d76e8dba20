import { checkArguments } from '@heddle/tensor';
import { checkCache } from './check-parts.ts';
import { CacheFullError } from './errors.ts';
import type { KvCache, KvSequence } from './kv-cache.ts';

/**
 * An open, empty sequence, for programs that have no use for a full cache.
 * @throws CacheFullError where no more sequences can be open, ArgumentError for an id that is
 */
export function openSequence(cache: KvCache, id: string): KvSequence {
  checkCache('openSequence', cache);
  checkArguments('openSequence', 'text', { id });
  const sequence = cache.sequence(id);
  if (typeof sequence !== 'string') return sequence;
  throw new CacheFullError(`openSequence: no room for ${id}, ${cache.maxSequences} sequences are open (maxSequences)`);
}
