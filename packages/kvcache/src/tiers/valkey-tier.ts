import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import type { KvTier } from './kv-tier.ts';

/** The part of a client of `iovalkey` (0.x), or `ioredis`, that a tier takes. */
export interface ValkeyClient {
  mgetBuffer(keys: string[]): Promise<(Uint8Array | null)[]>;
  pipeline(): ValkeyPipeline;
  del(keys: string[]): Promise<number>;
}
/** Commands that are sent together. */
export interface ValkeyPipeline {
  exists(key: string): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: the client's own overloads take Buffers
  set(key: string, value: any): unknown;
  // biome-ignore lint/suspicious/noExplicitAny: as above
  set(key: string, value: any, unit: 'EX', seconds: number): unknown;
  exec(): Promise<[error: Error | null, result: unknown][] | null>;
}

/**
 * A tier in a Valkey or Redis server, which several processes can share; give it a `signedTier` around it where others can write
 * to it. The client stays the caller's. What the server forgets (`maxmemory`, `seconds`) counts as missing.
 * @param client `new Valkey(...)` of `iovalkey`
 * @param options.prefix begins every name. Default 'heddle:kv:'
 * @param options.seconds after which a block is forgotten that was not written again. Default never
 * @throws ArgumentError
 */
export function valkeyTier(
  client: ValkeyClient,
  options: { readonly prefix?: string; readonly seconds?: number } = {},
): KvTier {
  checkArguments('valkeyTier', 'object', { client });
  checkOptions('valkeyTier', options, { prefix: 'text?', seconds: 'size?' });
  const { prefix = 'heddle:kv:', seconds } = options;
  for (const name of ['mgetBuffer', 'pipeline', 'del'] as const)
    if (typeof client[name] !== 'function')
      throw new ArgumentError(`valkeyTier: takes a client of iovalkey, and this one has no ${name}`);
  const named = (keys: readonly string[]) => keys.map((key) => prefix + key);
  /** Results of commands that were sent together. */
  const all = async (fill: (pipeline: ValkeyPipeline) => void): Promise<readonly unknown[]> => {
    const pipeline = client.pipeline();
    fill(pipeline);
    return ((await pipeline.exec()) ?? []).map(([error, result]) => {
      if (error) throw error;
      return result;
    });
  };
  return {
    name: 'valkey',
    read: async (keys) => {
      if (keys.length === 0) return [];
      return (await client.mgetBuffer(named(keys))).map((bytes) => bytes ?? undefined);
    },
    has: async (keys) => {
      const found = await all((pipeline) => {
        for (const key of named(keys)) pipeline.exists(key);
      });
      return keys.map((_, i) => found[i] === 1);
    },
    write: async (blocks) => {
      await all((pipeline) => {
        for (const { key, bytes } of blocks) {
          // the client takes a view of Node's only
          const value = bufferOf(bytes);
          if (seconds === undefined) pipeline.set(prefix + key, value);
          else pipeline.set(prefix + key, value, 'EX', seconds);
        }
      });
    },
    delete: async (keys) => {
      if (keys.length > 0) await client.del(named(keys));
    },
  };
}

function bufferOf(bytes: Uint8Array): Uint8Array {
  const { Buffer } = globalThis as {
    Buffer?: { from(buffer: ArrayBufferLike, at: number, length: number): Uint8Array };
  };
  if (!Buffer) throw new ArgumentError('valkeyTier: takes the Buffer of Node, which is not there');
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
