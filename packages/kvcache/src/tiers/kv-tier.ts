import { ArgumentError } from '@heddle/tensor';

/** A block of rows as bytes, under a name. */
export interface TierBlock {
  readonly key: string;
  readonly bytes: Uint8Array;
}

/**
 * A place for blocks beneath the memory of a cache: a folder, a database, another process. What it gives is checked by the cache:
 * damaged or foreign bytes count as missing. It may lose anything at any time.
 */
export interface KvTier {
  readonly name: string;
  /** The blocks of these names, in their order; undefined for those that it does not have. */
  read(keys: readonly string[]): readonly (Uint8Array | undefined)[] | Promise<readonly (Uint8Array | undefined)[]>;
  /**
   * Which of these it has, in their order, so that only those are read. Without it everything is read that might be there.
   */
  has?(keys: readonly string[]): readonly boolean[] | Promise<readonly boolean[]>;
  /** Takes blocks. They may be read once this has returned or resolved. */
  write(blocks: readonly TierBlock[]): void | Promise<void>;
  /** These are not asked for again. */
  delete(keys: readonly string[]): void | Promise<void>;
}

/** A tier in the memory of this process. */
export function memoryTier(): KvTier & { readonly blocks: ReadonlyMap<string, Uint8Array> } {
  const blocks = new Map<string, Uint8Array>();
  return {
    name: 'memory',
    blocks,
    read: (keys) => keys.map((key) => blocks.get(key)),
    has: (keys) => keys.map((key) => blocks.has(key)),
    write: (written) => {
      for (const { key, bytes } of written) blocks.set(key, bytes.slice());
    },
    delete: (keys) => {
      for (const key of keys) blocks.delete(key);
    },
  };
}

/** @throws ArgumentError unless it is nothing, or has the three functions */
export function checkStore(where: string, store: KvTier | undefined): void {
  if (store === undefined) return;
  if (store?.has !== undefined && typeof store.has !== 'function')
    throw new ArgumentError(`${where}: has must be a function, got ${typeof store.has}`);
  for (const name of ['read', 'write', 'delete'] as const)
    if (typeof store?.[name] !== 'function')
      throw new ArgumentError(
        `${where} must be a tier with read, write and delete, ${name} is ${typeof store?.[name]}`,
      );
}
