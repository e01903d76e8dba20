import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Device } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { Redis } from 'iovalkey';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { keyValueShape, pagedCache, signedTier, type ValkeyClient, valkeyTier } from '../index.ts';
import { CacheDriver } from '../testing/cache-driver.ts';

const program = ['valkey-server', 'redis-server'].find((one) => spawnSync(one, ['--version']).status === 0);

describe('a tier in a server of Valkey or Redis', () => {
  let device: Device;
  let folder: string;
  let server: ChildProcess;
  let client: Redis;
  beforeEach((context) => {
    if (!program) context.skip('neither valkey-server nor redis-server is installed (apt-get install redis-server)');
  });
  beforeAll(async () => {
    if (!program) return;
    device = await openReference();
    folder = await mkdtemp(join(tmpdir(), 'kv-server-'));
    const path = join(folder, 'socket');
    server = spawn(program, ['--port', '0', '--unixsocket', path, '--save', '', '--dir', folder], { stdio: 'ignore' });
    client = new Redis({ path, retryStrategy: (times) => (times < 100 ? 50 : null) });
    client.on('error', () => {}); // until the server is there
    await client.ping();
  });
  afterAll(async () => {
    if (!program) return;
    client.disconnect();
    server.kill();
    device.dispose();
    await rm(folder, { recursive: true, force: true });
  });

  test('keeps bytes under names, for as long as it is told', async () => {
    const tier = valkeyTier(client, { prefix: 'a:' });
    const bytes = Uint8Array.from({ length: 300 }, (_, i) => i);
    await tier.write([
      { key: 'one', bytes },
      { key: 'two', bytes: bytes.subarray(7, 20) },
    ]);
    const [one, none, two] = await tier.read(['one', 'none', 'two']);
    expect([Uint8Array.from(one!), none, Uint8Array.from(two!)]).toEqual([bytes, undefined, bytes.slice(7, 20)]);
    expect(await tier.has!(['two', 'none', 'one'])).toEqual([true, false, true]);
    expect(await valkeyTier(client).has!(['one'])).toEqual([false]);
    await tier.delete(['one', 'none']);
    expect(await tier.has!(['one', 'two'])).toEqual([false, true]);
    await valkeyTier(client, { prefix: 'short:', seconds: 100 }).write([{ key: 'b', bytes }]);
    expect(await client.ttl('short:b')).toBeGreaterThan(90);
    expect(await tier.read([])).toEqual([]);
    await tier.delete([]);
  });

  test('prompts are found in it by another cache, and by nobody when the server has gone', async () => {
    const shape = keyValueShape({ layers: 1, heads: 1, headDim: 4, dtype: 'f16' });
    const tokens = Array.from({ length: 13 }, (_, i) => i);
    const notes: string[] = [];
    const tiers = {
      store: signedTier(valkeyTier(client), new Uint8Array(32).fill(7)),
      model: 'a',
      load: 'always',
      timeoutMs: 5000,
      onNote: (note: string) => notes.push(note),
    } as const;
    const use = async (expected: number) => {
      const cache = pagedCache(device, { shape, maxSequences: 2, maxSequenceTokens: 16, blockSize: 4, tiers });
      const driver = new CacheDriver(device, cache, 16);
      const ready = new Promise<void>((resolve) => cache.onReady!(resolve));
      expect(cache.sequence('a', { tokens })).toBe('pending');
      await ready;
      const one = driver.open('a', { tokens });
      expect(one.kv.length).toBe(expected);
      await driver.write([{ to: one, tokens: tokens.slice(expected) }]);
      await driver.check([one]);
      one.kv.dispose();
      await cache.persist!();
      cache.checkIntegrity();
      driver.dispose();
      cache.dispose();
    };
    await use(0);
    await use(12);
    expect(notes).toEqual([]);
    // somebody else writes to the same server
    for (const key of await client.keys('heddle:kv:*')) await client.set(key, 'something else');
    await use(0);
    client.disconnect();
    await use(0);
    expect(notes.join()).toMatch(/not read/);
  });

  test('takes a client, and a number of seconds', () => {
    expect(() => valkeyTier({} as ValkeyClient)).toThrow(/takes a client of iovalkey/);
    expect(() => valkeyTier(client, { seconds: 0 })).toThrow(/seconds must be a positive integer, got 0/);
  });
});
