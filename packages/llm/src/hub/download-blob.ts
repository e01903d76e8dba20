import { HubError } from './hub-error.ts';
import { type HubFetch, pause, reasonOf, shown } from './hub-fetch.ts';
import type { HubSettings } from './hub-options.ts';
import type { Transfer } from './hub-transfer.ts';
import type { RemoteFile } from './repository.ts';
import { UnfinishedFile } from './unfinished-file.ts';

/** A try that brought as much counts as progress. */
const progressBytes = 2 ** 12;

/**
 * Downloads a file into the cache: goes on where an earlier try, or an earlier process, ended, and checks size and digest before
 * the file gets its name.
 *
 * @param onBytes is told of bytes that are there, also of those that an earlier try left; less than none where it begins anew
 * @throws HubError; what came of a file whose digest is wrong is not kept
 */
export async function downloadBlob(
  file: RemoteFile,
  blob: string,
  {
    get,
    settings,
    signal,
    onBytes,
  }: {
    readonly get: HubFetch;
    readonly settings: HubSettings;
    readonly signal: AbortSignal;
    readonly onBytes: (count: number) => void;
  },
): Promise<void> {
  const unfinished = await UnfinishedFile.open(file, blob);
  let isFinished = false;
  try {
    onBytes(unfinished.length);
    let wasResumed = unfinished.length > 0;
    const anew = async () => {
      onBytes(-unfinished.length);
      await unfinished.clear();
    };
    for (let fruitless = 0; ; ) {
      const before = unfinished.length;
      const failure = before < file.size ? await receive(file, unfinished, get, onBytes) : undefined;
      signal.throwIfAborted();
      if (failure === undefined && unfinished.isRight()) break;
      if (failure === undefined) {
        await anew();
        // what an earlier process left may have been damaged; what came just now is what there is
        if (!wasResumed)
          throw new HubError(
            'ERR_HUB_CONTENT',
            `${shown(file.url)}: its ${file.algorithm} is not the one that is listed`,
          );
        wasResumed = false;
        continue;
      }
      fruitless = unfinished.length - before >= progressBytes ? 0 : fruitless + 1;
      if (fruitless >= settings.tries)
        throw new HubError(
          'ERR_HUB_UNREACHABLE',
          `${shown(file.url)} ended after ${unfinished.length} of ${file.size} bytes, in ${fruitless} tries: ${reasonOf(failure)}`,
          { cause: failure },
        );
      await pause(settings.retryMs * 2 ** Math.max(0, fruitless - 1), signal);
    }
    await unfinished.finish();
    isFinished = true;
  } finally {
    if (!isFinished) await unfinished.leave();
  }
}

/** One request for what is missing. Gives why it ended too early, where it did. */
async function receive(
  file: RemoteFile,
  unfinished: UnfinishedFile,
  get: HubFetch,
  onBytes: (count: number) => void,
): Promise<unknown> {
  const at = unfinished.length;
  const transfer = await get(file.url, at > 0 ? { range: `bytes=${at}-` } : {});
  try {
    if (transfer.status === 404)
      throw new HubError('ERR_HUB_NOT_FOUND', `${shown(file.url)}: there is no such file, though it is listed`);
    if (transfer.status === 416 || (at > 0 && transfer.status === 200)) {
      onBytes(-at);
      await unfinished.clear();
      if (transfer.status === 416) return new Error('the rest of it cannot be had');
    }
    checkAnnounced(file, unfinished.length, transfer);
    for await (const chunk of transfer.chunks()) {
      await unfinished.append(chunk);
      onBytes(chunk.byteLength);
    }
  } catch (error) {
    await transfer.cancel().catch(() => {});
    if (error instanceof HubError) throw error;
    return error;
  }
  return unfinished.length < file.size ? new Error('the server closed the connection') : undefined;
}

/** @throws HubError where the server announces another size than the hub lists */
function checkAnnounced({ url, size }: RemoteFile, at: number, { status, headers }: Transfer): void {
  const wrong = (what: string) => new HubError('ERR_HUB_CONTENT', `${shown(url)}: ${what}, ${size} bytes are listed`);
  if (status === 206) {
    const [, from, , total] = /^bytes (\d+)-(\d+)\/(\d+|\*)$/.exec(headers.get('content-range') ?? '') ?? [];
    if (Number(from) !== at || (total !== '*' && Number(total) !== size))
      throw wrong(`bytes from ${at} on were asked for, and the server gives ${headers.get('content-range')}`);
  }
  const length = headers.get('content-length');
  if (length !== null && Number(length) !== size - at) throw wrong(`the server gives ${length} bytes from ${at} on`);
}
