import { ArgumentError, checkArguments, checkOptions } from '@heddle/tensor';
import type { KvTier } from './kv-tier.ts';

/** The part of `node:fs/promises` that a folder takes: a test may give another. */
export interface TierFiles {
  mkdir(path: string, options: { readonly recursive: true; readonly mode: number }): Promise<unknown>;
  readFile(path: string): Promise<Uint8Array>;
  access(path: string): Promise<void>;
  readdir(path: string): Promise<string[]>;
  stat(path: string): Promise<{ readonly size: number; readonly mtimeMs: number }>;
  writeFile(path: string, bytes: Uint8Array, options: { readonly flag: 'wx'; readonly mode: number }): Promise<void>;
  rename(from: string, to: string): Promise<void>;
  rm(path: string, options: { readonly force: true }): Promise<void>;
}

/** Options of `folderTier`. */
export interface FolderTierOptions {
  /** Bytes that the folder may take: what was written longest ago, and not read since, is deleted. By default without bound. */
  readonly maxBytes?: number;
  /** By default Node's file system. */
  readonly files?: TierFiles;
}

/**
 * A tier in a folder of files, one for each block. A file is written under another name and renamed, so that it is whole or not
 * there. The folder is made where it is missing, for its owner only, and so are the files.
 * @throws ArgumentError without Node's file system, for a bound that is no positive number
 */
export function folderTier(path: string, options: FolderTierOptions = {}): KvTier {
  checkArguments('folderTier', 'text', { path });
  checkOptions('folderTier', options, { maxBytes: 'number?', files: 'object?' });
  const { maxBytes = Number.POSITIVE_INFINITY, files = nodeFiles() } = options;
  if (!(maxBytes > 0)) throw new ArgumentError(`folderTier: maxBytes must be a positive number, got ${maxBytes}`);
  const fileOf = (key: string) => {
    if (!/^[A-Za-z0-9_-]{1,128}$/.test(key))
      throw new ArgumentError(`folderTier: a key has 1 to 128 letters, digits, - or _, got '${key}'`);
    return `${path}/${key}.kv`;
  };
  let made: Promise<unknown> | undefined;
  const sizes = new Map<string, number>(); // those that were used longest ago in front
  let total = 0;
  const note = (key: string, size: number) => {
    total += size - (sizes.get(key) ?? 0);
    sizes.delete(key);
    sizes.set(key, size);
  };
  const forget = (key: string) => {
    total -= sizes.get(key) ?? 0;
    sizes.delete(key);
  };
  /** What was in the folder before, where that is to be bounded. */
  let listed: Promise<void> | undefined;
  const list = async () => {
    const found: { key: string; size: number; mtimeMs: number }[] = [];
    for (const name of await files.readdir(path)) {
      if (!name.endsWith('.kv')) continue;
      const key = name.slice(0, -'.kv'.length);
      const { size, mtimeMs } = await files.stat(fileOf(key));
      if (!sizes.has(key)) found.push({ key, size, mtimeMs });
    }
    const since = [...sizes];
    for (const { key, size } of found.sort((a, b) => a.mtimeMs - b.mtimeMs)) note(key, size);
    for (const [key, size] of since) note(key, size);
  };
  return {
    name: 'folder',
    read: (keys) =>
      Promise.all(
        keys.map(async (key) => {
          try {
            const bytes = await files.readFile(fileOf(key));
            if (sizes.has(key)) note(key, bytes.length);
            return bytes;
          } catch (error) {
            if ((error as { code?: unknown })?.code === 'ENOENT') return undefined;
            throw error;
          }
        }),
      ),
    has: (keys) =>
      Promise.all(
        keys.map((key) =>
          files.access(fileOf(key)).then(
            () => true,
            () => false,
          ),
        ),
      ),
    write: async (blocks) => {
      made ??= files.mkdir(path, { recursive: true, mode: 0o700 });
      await made.catch((error: unknown) => {
        made = undefined; // whoever comes next tries again
        throw error;
      });
      if (Number.isFinite(maxBytes)) {
        listed ??= list();
        await listed.catch((error: unknown) => {
          listed = undefined;
          throw error;
        });
      }
      for (const { key, bytes } of blocks) {
        const file = fileOf(key);
        const part = `${file}.${crypto.randomUUID()}.part`;
        try {
          await files.writeFile(part, bytes, { flag: 'wx', mode: 0o600 });
          await files.rename(part, file);
          if (listed) note(key, bytes.length);
        } catch (error) {
          await files.rm(part, { force: true });
          throw error;
        }
        for (const [oldest] of sizes) {
          if (total <= maxBytes) break;
          await files.rm(fileOf(oldest), { force: true });
          forget(oldest);
        }
      }
    },
    delete: async (keys) => {
      for (const key of keys) {
        await files.rm(fileOf(key), { force: true });
        forget(key);
      }
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
