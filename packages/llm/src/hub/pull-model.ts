import { CacheFolder } from './cache-folder.ts';
import { cachedSnapshot } from './cached-snapshot.ts';
import { fetchFiles } from './fetch-files.ts';
import { HubError } from './hub-error.ts';
import { hubFetch } from './hub-fetch.ts';
import { type HubId, hubIdOf } from './hub-id.ts';
import { type HubOptions, hubSettings } from './hub-options.ts';
import { type HubPurpose, indexFile, neededFiles, shardsOf } from './needed-files.ts';
import { nodeModules } from './node-modules.ts';
import { openRepository } from './repository.ts';

/** A model that is in the cache. */
export interface PulledModel {
  /** `owner/name@revision` */
  readonly label: string;
  readonly commit: string;
  /** Its folder, or its GGUF file: what `loadModel` takes. */
  readonly path: string;
}

/**
 * Fetches what is needed of a model of a hub into the cache folder that Python's `huggingface_hub` uses, and uses what is there.
 * Files come in parallel, go on where an earlier try ended, and get their names only once size and digest are right. No code of
 * the repository is fetched or run.
 *
 * @param id `owner/name`, `owner/name@revision` for a branch, tag or commit, `owner/name:file.gguf` for one file of several
 * @throws HubError; ArgumentError for another name, or options that do not fit; the signal's reason where it aborts
 * @example const { path } = await pullModel('HuggingFaceTB/SmolLM2-135M');
 */
export async function pullModel(id: string, options: HubOptions = {}): Promise<PulledModel> {
  return pull('pullModel', hubIdOf('pullModel', id), 'model', options);
}

/** What is needed of a model for one purpose. */
export async function pull(
  operation: string,
  id: HubId,
  purpose: HubPurpose,
  options: HubOptions,
): Promise<PulledModel> {
  const settings = hubSettings(operation, options);
  const cache = new CacheFolder(settings.cacheFolder, id);
  const cached = await cachedSnapshot(cache, id, purpose);
  const result = ({ commit, gguf }: { readonly commit: string; readonly gguf?: string }): PulledModel => ({
    label: `${id.name}@${id.revision}`,
    commit,
    path: gguf === undefined ? cache.snapshot(commit) : cache.file(commit, gguf),
  });
  // a commit never changes
  if (cached && (settings.offline || cached.commit === id.revision)) return result(cached);
  if (settings.offline)
    throw new HubError(
      'ERR_HUB_OFFLINE',
      `offline (HF_HUB_OFFLINE), and ${settings.cacheFolder} has not all of ${id.name}@${id.revision}`,
    );
  const get = hubFetch(settings, settings.signal);
  const repository = await openRepository(id, settings, get).catch((error: unknown) => {
    // what was there before is better than nothing
    if (cached && error instanceof HubError && error.code === 'ERR_HUB_UNREACHABLE') return undefined;
    throw error;
  });
  if (!repository) return result(cached!);
  const { commit } = repository;
  const { files, gguf } = neededFiles(id, repository, purpose);
  await fetchFiles(files, { cache, commit, settings });
  if (files.some(({ path }) => path === indexFile)) {
    const index = await nodeModules().fs.readFile(cache.file(commit, indexFile), 'utf8');
    await fetchFiles([...files, ...shardsOf(id, repository, index)], { cache, commit, settings });
  }
  await cache.refer(id.revision, commit);
  return result({ commit, ...(gguf !== undefined && { gguf }) });
}
