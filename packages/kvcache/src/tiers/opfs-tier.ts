import { checkArguments } from '@heddle/tensor';
import type { KvTier } from './kv-tier.ts';

/** The part of a `FileSystemDirectoryHandle` that a tier takes. */
export interface TierDirectory {
  getFileHandle(
    name: string,
    options?: { readonly create: boolean },
  ): Promise<{
    getFile(): Promise<{ arrayBuffer(): Promise<ArrayBuffer> }>;
    createWritable(): Promise<{
      write(bytes: Uint8Array): Promise<void>;
      close(): Promise<void>;
      abort(): Promise<void>;
    }>;
  }>;
  removeEntry(name: string): Promise<void>;
}

/**
 * A tier in a folder of the browser's own file system: `await navigator.storage.getDirectory()`, or a folder in it. A file is
 * replaced when all of it is written, so that it is whole or not there.
 */
export function opfsTier(directory: TierDirectory): KvTier {
  checkArguments('opfsTier', 'object', { directory });
  checkArguments('opfsTier', 'function', {
    'directory.getFileHandle': directory.getFileHandle,
    'directory.removeEntry': directory.removeEntry,
  });
  const missing = (error: unknown) => (error as { name?: unknown })?.name === 'NotFoundError';
  return {
    name: 'opfs',
    read: (keys) =>
      Promise.all(
        keys.map(async (key) => {
          try {
            const file = await (await directory.getFileHandle(`${key}.kv`)).getFile();
            return new Uint8Array(await file.arrayBuffer());
          } catch (error) {
            if (missing(error)) return undefined;
            throw error;
          }
        }),
      ),
    has: (keys) =>
      Promise.all(
        keys.map((key) =>
          directory.getFileHandle(`${key}.kv`).then(
            () => true,
            () => false,
          ),
        ),
      ),
    write: async (blocks) => {
      for (const { key, bytes } of blocks) {
        const writable = await (await directory.getFileHandle(`${key}.kv`, { create: true })).createWritable();
        try {
          await writable.write(bytes);
        } catch (error) {
          await writable.abort();
          throw error;
        }
        await writable.close();
      }
    },
    delete: async (keys) => {
      for (const key of keys)
        await directory.removeEntry(`${key}.kv`).catch((error: unknown) => {
          if (!missing(error)) throw error;
        });
    },
  };
}
