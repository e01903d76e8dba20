import { checkArguments } from '@heddle/tensor';
import type { KvCache, KvSequence } from './kv-cache.ts';

/** @throws ArgumentError naming `operation` for what is no cache */
export function checkCache(operation: string, cache: KvCache): void {
  checkArguments(operation, 'object', { cache });
  checkArguments(operation, 'object', { 'cache.shape': cache.shape, 'cache.symbols': cache.symbols });
  checkArguments(operation, 'function', { 'cache.sequence': cache.sequence, 'cache.batch': cache.batch });
}

/** @throws ArgumentError naming `operation` for what is no sequence */
export function checkSequence(operation: string, sequence: KvSequence): void {
  checkArguments(operation, 'object', { sequence });
  const { reserve, know, range } = sequence;
  checkArguments(operation, 'function', {
    'sequence.reserve': reserve,
    'sequence.know': know,
    'sequence.range': range,
  });
}
