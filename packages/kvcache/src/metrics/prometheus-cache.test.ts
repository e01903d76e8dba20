import { openReference } from '@heddle/tensor/reference';
import client from 'prom-client';
import { expect, test } from 'vitest';
import { type KvSequence, keyValueShape, pagedCache, prometheusCache } from '../index.ts';

test('a registry shows what the cache says of itself, each time it is read', async () => {
  const device = await openReference();
  const shape = keyValueShape({ layers: 1, heads: 1, headDim: 2, dtype: 'f32' });
  const cache = pagedCache(device, { shape, maxSequences: 2, maxSequenceTokens: 8, blockSize: 4, tiers: { cold: 8 } });
  const registry = new client.Registry();
  prometheusCache(() => cache.stats(), { client, registry });
  const value = async (line: string) => (await registry.metrics()).split('\n').find((one) => one.startsWith(line));
  expect(await value('heddle_kv_cache_sequences')).toBe('heddle_kv_cache_sequences 0');
  const sequence = cache.sequence('a', { tokens: [1, 2, 3, 4, 5] }) as KvSequence;
  sequence.reserve(5);
  cache.batch([{ sequence, tokens: 5 }]).advance();
  sequence.know([1, 2, 3, 4, 5]);
  expect(await value('heddle_kv_cache_sequences')).toBe('heddle_kv_cache_sequences 1');
  expect(await value('heddle_kv_cache_blocks{state="used"}')).toBe('heddle_kv_cache_blocks{state="used"} 2');
  for (let read = 0; read < 2; read++)
    expect(await value('heddle_kv_cache_prompt_tokens_total{found="false"}')).toMatch(/ 5$/);
  expect(await value('heddle_kv_cache_tier_tokens{tier="hot"}')).toMatch(/ 8$/);
  expect(await value('heddle_kv_cache_tier_miss_tokens_total{tier="cold"}')).toMatch(/ 5$/);
  expect(() => prometheusCache(() => cache.stats(), { client, registry })).toThrow(/already been registered/);
  cache.dispose();
  device.dispose();
});
