import { type CacheFolder, fileSize } from './cache-folder.ts';
import { downloadBlob } from './download-blob.ts';
import { hubFetch } from './hub-fetch.ts';
import type { HubSettings } from './hub-options.ts';
import type { RemoteFile } from './repository.ts';

/** Where files go. */
interface Destination {
  readonly cache: CacheFolder;
  readonly commit: string;
  readonly settings: HubSettings;
}

/**
 * Puts files into the cache, several at once, the largest first. The first failure stops the others; what has come of them is
 * kept for another time.
 */
export async function fetchFiles(files: readonly RemoteFile[], destination: Destination): Promise<void> {
  const { settings } = destination;
  const stop = new AbortController();
  const signal = settings.signal ? AbortSignal.any([settings.signal, stop.signal]) : stop.signal;
  const totalBytes = files.reduce((sum, { size }) => sum + size, 0);
  let [loadedBytes, loadedFiles] = [0, 0];
  const report = (bytes: number, done = 0) => {
    loadedBytes += bytes;
    loadedFiles += done;
    settings.onProgress?.({ loadedBytes, totalBytes, loadedFiles, totalFiles: files.length });
  };
  const queue = [...files].sort((a, b) => b.size - a.size);
  const failures: unknown[] = [];
  const work = async () => {
    for (let file = queue.shift(); file && failures.length === 0; file = queue.shift()) {
      try {
        await fetchFile(file, destination, signal, report);
        report(0, 1);
      } catch (error) {
        failures.push(error);
        stop.abort(error);
      }
    }
  };
  await Promise.all(Array.from({ length: Math.min(settings.maxDownloads, files.length) }, work));
  if (failures.length > 0) throw failures[0];
}

async function fetchFile(
  file: RemoteFile,
  { cache, commit, settings }: Destination,
  signal: AbortSignal,
  onBytes: (count: number) => void,
): Promise<void> {
  signal.throwIfAborted();
  if ((await cache.sizeOf(commit, file.path)) === file.size) return onBytes(file.size);
  const blob = cache.blob(file.digest);
  if ((await fileSize(blob)) === file.size) onBytes(file.size);
  else await downloadBlob(file, blob, { get: hubFetch(settings, signal), settings, signal, onBytes });
  await cache.link(commit, file.path, file.digest);
}
