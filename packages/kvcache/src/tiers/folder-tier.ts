import { ArgumentError } from '@heddle/tensor';
import type { KvTier } from './kv-tier.ts';

/** The part of `node:fs/promises` that a folder takes: a test may give another. */
export interface TierFiles {
  mkdir(path: string, options: { readonly recursive: true; readonly mode: number }): Promise<unknown>;
  readFile(path: string): Promise<Uint8Array>;
  writeFile(path: string, bytes: Uint8Array, options: { readonly flag: 'wx'; readonly mode: number }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: true }): Promise<void>;
}

/**
 * A tier in a folder of files, one for each block. A file is written under another name and renamed, so that it is whole or not
 * there. The folder is made where it is missing, for its owner only, and so are the files.
 * @throws ArgumentError without Node's file system
 */
export function folderTier(path: string, files: TierFiles = nodeFiles()): KvTier {
  const fileOf = (key: string) => {
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(key))
      throw new ArgumentError(`folderTier: a key has 1 to 128 letters, digits, - or _, got '${key}'`);
    return `${path}/${key}.kv`;
  };
  let made: Promise<unknown> | undefined;
  return {
    name: 'folder',
    read: (keys) =>
      Promise.all(
        keys.map(async (key) => {
          try {
            return await files.readFile(fileOf(key));
          } catch (error) {
            if ((error as { code?: unknown })?.code === 'ENOENT') return undefined;
            throw error;
          }
        }),
      ),
    write: async (blocks) => {
      made ??= files.mkdir(path, { recursive: true, mode: 0o700 });
      await made.catch((error: unknown) => {
        made = undefined; // whoever comes next tries again
        throw error;
      });
      for (const { key, bytes } of blocks) {
        const file = fileOf(key);
        const part = `${file}.${crypto.randomUUID()}.part`;
        try {
          await files.writeFile(part, bytes, { flag: 'wx', mode: 0o600 });
          await files.rename(part, file);
        } catch (error) {
          await files.rm(part, { force: true });
          throw error;
        }
      }
    },
    delete: async (keys) => {
      for (const key of keys) await files.rm(fileOf(key), { force: true });
    },
  };
}

/** Asked of the process rather than imported, so that bundlers for browsers see no module that they lack. */
function nodeFiles(): TierFiles {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const found = process?.getBuiltinModule?.('node:fs/promises');
  if (!found) throw new ArgumentError('folderTier: takes the files of Node, which are not there: give others');
  return found as TierFiles;
}
