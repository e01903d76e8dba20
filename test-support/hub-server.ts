import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** A model as a hub has it: files of over 100 bytes, unless they are text, are large files with a sha256. */
export interface ServedModel {
  readonly commit: string;
  readonly files: Readonly<Record<string, Uint8Array>>;
}

/** What a server does wrong with a file, or with one of its other answers. */
export type Fault =
  | { readonly status: number; readonly headers?: Readonly<Record<string, string>> }
  /** Closes the connection after so many bytes. */
  | { readonly cutAfter: number }
  /** Sends so many bytes, and then nothing more. */
  | { readonly stallAfter: number }
  | { readonly redirect: string }
  | { readonly delayMs: number }
  /** Gives the whole file whatever is asked for. */
  | { readonly ignoreRange: true }
  /** Other bytes, and what it says of their number. */
  | { readonly bytes: Uint8Array; readonly length?: number }
  /** Another answer of its interface. */
  | { readonly json: unknown; readonly headers?: Readonly<Record<string, string>> };

export interface HubServer {
  readonly endpoint: string;
  /** What was asked for, in order: the path without its query, and headers. */
  readonly requests: readonly { readonly path: string; readonly headers: IncomingMessage['headers'] }[];
  /** The most files that were on their way at once. */
  readonly mostAtOnce: number;
  close(): Promise<void>;
}

/**
 * A hub on this machine, as much of one as models are fetched from.
 * @param fault what to do wrong with the n-th request (from 0) for a path, if anything; what follows `/resolve/COMMIT/` of a file
 */
export async function serveHub(
  models: Readonly<Record<string, ServedModel>>,
  fault: (path: string, attempt: number) => Fault | undefined = () => undefined,
): Promise<HubServer> {
  const requests: { path: string; headers: IncomingMessage['headers'] }[] = [];
  const attempts = new Map<string, number>();
  let [atOnce, mostAtOnce] = [0, 0];
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url!, 'http://hub');
    const path = decodeURIComponent(pathname);
    requests.push({ path, headers: request.headers });
    const short = path.replace(/^.*\/resolve\/[^/]+\//, '');
    const attempt = attempts.get(short) ?? 0;
    attempts.set(short, attempt + 1);
    if (path.includes('/resolve/')) {
      mostAtOnce = Math.max(mostAtOnce, ++atOnce);
      response.on('close', () => atOnce--);
    }
    const wrong = fault(short, attempt);
    const delay = wrong && 'delayMs' in wrong ? wrong.delayMs : 0;
    setTimeout(() => answer(models, path, wrong, request, response), delay);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    get mostAtOnce() {
      return mostAtOnce;
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function answer(
  models: Readonly<Record<string, ServedModel>>,
  path: string,
  fault: Fault | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): unknown {
  const end = (status: number, body: unknown, headers: Readonly<Record<string, string>> = {}) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers });
    response.end(JSON.stringify(body));
  };
  if (fault && 'status' in fault) return end(fault.status, { error: 'no' }, fault.headers);
  if (fault && 'redirect' in fault) return end(307, '', { location: fault.redirect });
  if (fault && 'json' in fault) return end(200, fault.json, fault.headers);
  const [, name, rest] = /^\/(?:api\/models\/)?([^/]+\/[^/]+)\/(.*)$/.exec(path) ?? [];
  const model = name === undefined ? undefined : models[name];
  if (!model || rest === undefined) return end(404, { error: 'Repository not found' });
  const { commit, files } = model;
  const [kind, revision, ...parts] = rest.split('/');
  if (revision !== 'main' && revision !== commit) return end(404, { error: 'Invalid rev id' });
  if (kind === 'revision') return end(200, { _id: '1', id: name, sha: commit, lastModified: new Date(0) });
  if (kind === 'tree') return end(200, listing(files, parts.join('/')));
  const bytes = files[parts.join('/')];
  if (kind !== 'resolve' || !bytes) return end(404, { error: 'Entry not found' });
  return sendFile(bytes, fault, request, response);
}

function listing(files: ServedModel['files'], folder: string): object[] {
  const prefix = folder === '' ? '' : `${folder}/`;
  const inside = Object.entries(files).filter(([path]) => path.startsWith(prefix));
  const folders = new Set(
    inside.flatMap(([path]) => (path.slice(prefix.length).includes('/') ? [path.split('/')[0]!] : [])),
  );
  return [
    ...[...folders].map((path) => ({ type: 'directory', oid: '0'.repeat(40), size: 0, path })),
    ...inside.flatMap(([path, bytes]) => (path.slice(prefix.length).includes('/') ? [] : [listedFile(path, bytes)])),
  ];
}

/** A file as a hub lists it. */
export function listedFile(path: string, bytes: Uint8Array): object {
  const size = bytes.byteLength;
  const oid = createHash('sha1').update(`blob ${size}\0`).update(bytes).digest('hex');
  if (/\.(?:json|jinja|py|md)$/.test(path)) return { type: 'file', oid, size, path };
  const sha256 = createHash('sha256').update(bytes).digest('hex');
  return { type: 'file', oid: 'f'.repeat(40), size, path, lfs: { oid: sha256, size, pointerSize: 134 } };
}

function sendFile(
  whole: Uint8Array,
  fault: Fault | undefined,
  request: IncomingMessage,
  response: ServerResponse,
): void {
  const asked = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? '')?.[1] ?? 0);
  const from = fault && 'ignoreRange' in fault ? 0 : asked;
  if (from >= whole.byteLength && from > 0) {
    response.writeHead(416).end();
    return;
  }
  const bytes = fault && 'bytes' in fault ? fault.bytes : whole.subarray(from);
  const length = fault && 'bytes' in fault ? (fault.length ?? bytes.byteLength) : bytes.byteLength;
  response.writeHead(from > 0 ? 206 : 200, {
    'content-length': length,
    ...(from > 0 && { 'content-range': `bytes ${from}-${whole.byteLength - 1}/${whole.byteLength}` }),
  });
  const stop = fault && ('cutAfter' in fault ? fault.cutAfter : 'stallAfter' in fault ? fault.stallAfter : undefined);
  if (stop === undefined) {
    response.end(bytes);
    return;
  }
  response.write(bytes.subarray(0, stop), () => {
    if (fault && 'cutAfter' in fault) response.destroy();
  });
}
