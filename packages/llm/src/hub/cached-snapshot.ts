import type { CacheFolder } from './cache-folder.ts';
import type { HubId } from './hub-id.ts';
import { ggufParts, type HubPurpose, indexFile, shardNames, weightsFile } from './needed-files.ts';
import { nodeModules } from './node-modules.ts';

/** A commit of which the cache has all that a purpose needs. */
export interface CachedSnapshot {
  readonly commit: string;
  /** The GGUF file, where the model is one. */
  readonly gguf?: string;
}

/** What the cache has of a model, undefined where something that is needed is missing. */
export async function cachedSnapshot(
  cache: CacheFolder,
  id: HubId,
  purpose: HubPurpose,
): Promise<CachedSnapshot | undefined> {
  const commit = await cache.commitOf(id.revision);
  if (commit === undefined) return undefined;
  const has = async (file: string) => (await cache.sizeOf(commit, file)) !== undefined;
  const hasAll = async (files: readonly string[]) => (await Promise.all(files.map(has))).every(Boolean);
  if (id.file !== undefined) return (await hasAll(ggufParts(id.file))) ? { commit, gguf: id.file } : undefined;
  if (purpose === 'tokenizer') return (await has('tokenizer.json')) ? { commit } : undefined;
  // fetched for something else before
  if (purpose === 'embedding' && !(await has('modules.json'))) return undefined;
  const { fs } = nodeModules();
  if (await has('config.json')) {
    if (purpose === 'config' || (await has(weightsFile))) return { commit };
    if (await has(indexFile)) {
      const shards = shardNames(await fs.readFile(cache.file(commit, indexFile), 'utf8'));
      return shards.length > 0 && (await hasAll(shards)) ? { commit } : undefined;
    }
  }
  const names = await fs.readdir(cache.snapshot(commit)).catch(() => []);
  const heads = names.filter((name) => /\.gguf$/i.test(name) && ggufParts(name)[0] === name);
  const [gguf] = heads;
  return heads.length === 1 && (await hasAll(ggufParts(gguf!))) ? { commit, gguf: gguf! } : undefined;
}
