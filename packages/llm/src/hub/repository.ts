import { HubError } from './hub-error.ts';
import { type HubFetch, shown } from './hub-fetch.ts';
import { type HubId, isPlainPath, parseHubId } from './hub-id.ts';
import type { HubSettings } from './hub-options.ts';

/** A file as the hub lists it. */
export interface RemoteFile {
  readonly path: string;
  readonly size: number;
  /** Digest of the content, in hexadecimal: sha256 of large files, Git's sha1 of others. The cache names it by that. */
  readonly digest: string;
  readonly algorithm: 'sha256' | 'git-sha1';
  readonly url: URL;
}

/** A model at one commit. */
export interface Repository {
  readonly commit: string;
  /** Files by their path. */
  readonly files: ReadonlyMap<string, RemoteFile>;
}

/** No listing is as large; a server must not fill the memory. */
const maxAnswerBytes = 2 ** 25;
const maxPages = 100;
/** The one folder beside the root whose files are needed. */
const templateFolder = 'additional_chat_templates';

/**
 * Asks the hub for the commit that a revision is, and for its files in the root and among its chat templates.
 * @throws HubError
 */
export async function openRepository(id: HubId, settings: HubSettings, get: HubFetch): Promise<Repository> {
  // loaded where it is needed: half a megabyte
  const { listFiles, modelInfo } = await import('#hub-listing');
  const hubUrl = settings.endpoint.href.replace(/\/+$/, '');
  const fetch = libraryFetch(get);
  const { name: today, sha } = await modelInfo({
    name: id.name,
    revision: id.revision,
    additionalFields: ['sha'],
    hubUrl,
    fetch,
  }).catch(typed(id));
  if (typeof sha !== 'string' || !/^[0-9a-f]{40}$/.test(sha)) throw wrong(id, `its commit is ${JSON.stringify(sha)}`);
  // models are renamed: their old names lead on, and a token does not go along
  const name = parseHubId(String(today))?.name ?? id.name;
  const files = new Map<string, RemoteFile>();
  const list = async (path: string | undefined) => {
    const repo = { type: 'model', name } as const;
    const parameters = { repo, revision: sha, hubUrl, fetch, ...(path !== undefined && { path }) };
    for await (const entry of listFiles(parameters)) {
      if (entry.type === 'file') files.set(entry.path, remoteFile(id, entry, `${hubUrl}/${name}/resolve/${sha}`));
      else if (entry.path === templateFolder && path === undefined) await list(templateFolder);
    }
  };
  await list(undefined).catch(typed(id));
  return { commit: sha, files };
}

/** An entry of a listing, checked: nothing of it is believed. */
function remoteFile(
  id: HubId,
  entry: {
    readonly path: string;
    readonly size: number;
    readonly oid?: string;
    readonly lfs?: { readonly oid: string };
  },
  base: string,
): RemoteFile {
  const { path, size, oid, lfs } = entry as { path: unknown; size: unknown; oid?: unknown; lfs?: { oid?: unknown } };
  if (typeof path !== 'string' || !isPlainPath(path))
    throw wrong(id, `it lists a file called ${JSON.stringify(path)?.slice(0, 120)}, which leaves its folder`);
  const digest = lfs?.oid ?? oid;
  const algorithm = lfs ? 'sha256' : 'git-sha1';
  if (typeof digest !== 'string' || !(lfs ? /^[0-9a-f]{64}$/ : /^[0-9a-f]{40}$/).test(digest))
    throw wrong(id, `${path} has the digest ${JSON.stringify(digest)?.slice(0, 80)}`);
  if (!Number.isSafeInteger(size) || (size as number) < 0) throw wrong(id, `${path} has the size ${String(size)}`);
  const url = new URL(`${base}/${path.split('/').map(encodeURIComponent).join('/')}`);
  return { path, size: size as number, digest, algorithm, url };
}

/** `fetch` as the library calls it. It has no token to lose, and answers of bounded size. */
function libraryFetch(get: HubFetch): typeof fetch {
  let requests = 0;
  return async (input, init) => {
    const url = new URL(String(input));
    if (++requests > maxPages) throw new HubError('ERR_HUB_CONTENT', `${shown(url)}: the listing does not end`);
    const { accept } = (init?.headers ?? {}) as { readonly accept?: string };
    const transfer = await get(url, { accept: accept ?? 'application/json' });
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for await (const chunk of transfer.chunks()) {
      length += chunk.byteLength;
      if (length > maxAnswerBytes)
        throw new HubError('ERR_HUB_CONTENT', `${shown(url)}: the answer is larger than ${maxAnswerBytes} bytes`);
      parts.push(new Uint8Array(chunk));
    }
    if (transfer.status === 404) throw new HubError('ERR_HUB_NOT_FOUND', `${shown(url)}: there is no such thing`);
    return new Response(new Blob(parts), { status: transfer.status, headers: transfer.headers });
  };
}

/** Errors of the library are of answers that it does not understand. */
function typed(id: HubId): (cause: unknown) => never {
  return (cause) => {
    if (!(cause instanceof HubError)) {
      if (cause instanceof Error && cause.name === 'AbortError') throw cause;
      throw wrong(id, cause instanceof Error ? cause.message.slice(0, 200) : String(cause), cause);
    }
    if (cause.code !== 'ERR_HUB_NOT_FOUND') throw cause;
    throw new HubError('ERR_HUB_NOT_FOUND', `there is no model ${id.name} with revision ${id.revision}`, { cause });
  };
}

function wrong(id: HubId, what: string, cause?: unknown): HubError {
  return new HubError('ERR_HUB_CONTENT', `${id.name}: ${what}`, { cause });
}
