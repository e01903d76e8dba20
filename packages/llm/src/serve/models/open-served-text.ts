import { join } from 'node:path';
import { continuousScheduler, fairShare } from '@heddle/batcher';
import { folderTier, type PrefixTierOptions, type TierFiles } from '@heddle/kvcache';
import { locateModel } from '../../hub/locate-model.ts';
import { type OpenedTextModel, type OpenTextModelOptions, openTextModel } from '../../text/text-model.ts';
import { identityOfFiles, type SaltFiles, saltOf } from './model-identity.ts';
import type { WorkerModelOptions } from './worker-messages.ts';

/** What the folder of a cache is written with: a test may give another. */
export type StoreFiles = TierFiles & SaltFiles;

/**
 * Opens a model as the options of a worker say.
 * @param onNote hears of what its cache on disk cannot do
 * @param files by default Node's file system
 */
export async function openServedText(
  source: string,
  options: WorkerModelOptions,
  onNote: (note: string) => void,
  files?: StoreFiles,
): Promise<OpenedTextModel> {
  const { kind: _, components, fairShare: shared, cacheFolder, cacheFolderBytes, ...plain } = options;
  const own = components === undefined ? {} : ((await import(components)) as { default: OpenTextModelOptions }).default;
  const scheduler: OpenTextModelOptions['scheduler'] = (capacity, limits) =>
    continuousScheduler({ ...limits, capacity, policy: fairShare() });
  const { path } = await locateModel('serve', source, 'model', {});
  const cacheTiers =
    cacheFolder === undefined
      ? undefined
      : await storeIn(cacheFolder, path, options, onNote, files).catch((error: NodeJS.ErrnoException) => {
          // a disk may be full for a while: what is on it is of no use then
          if (error.code !== 'ENOSPC' && error.code !== 'EDQUOT') throw error;
          onNote(`folder: not used: ${error.message}`);
          return undefined;
        });
  return await openTextModel(path, {
    ...plain,
    ...(cacheTiers && { cacheTiers }),
    ...(shared && { scheduler }),
    ...own,
  });
}

/** A store for the prefixes of this model, computed this way, and no other. */
async function storeIn(
  folder: string,
  path: string,
  { dtype, activations, device, adapters = {}, cacheFolderBytes, components }: WorkerModelOptions,
  onNote: (note: string) => void,
  files: StoreFiles | undefined,
): Promise<PrefixTierOptions> {
  const digests: Record<string, string> = {};
  for (const [name, source] of Object.entries(adapters)) digests[name] = await identityOfFiles(source, folder);
  const model = JSON.stringify({
    files: await identityOfFiles(path, folder),
    adapters: digests,
    computed: [dtype ?? 'default', activations ?? 'default', device ?? 'auto', components ?? 'none'],
  });
  const store = folderTier(join(folder, 'blocks'), {
    ...(cacheFolderBytes !== undefined && { maxBytes: cacheFolderBytes }),
    ...(files && { files }),
  });
  return { store, model, salt: await saltOf(folder, files), onNote };
}
