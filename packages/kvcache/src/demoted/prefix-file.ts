import type { KvShape } from '../kv-shape.ts';

const magic = 'HEDDLEPB';
const digestBytes = 32;
/** Changes with the layout of the file, or of the bytes in it. */
const version = 2;

/** What decides the rows of a cache beside the tokens: two caches that differ in it share no blocks. */
export interface CacheIdentity {
  /** Tells the weights, and what else decides keys and values, from others. */
  readonly model: string;
  readonly shape: KvShape;
  /** Formats of stores that are not kept in their own dtype, by layer and name. */
  readonly formats: Readonly<Record<string, unknown>>;
  readonly blockSize: number;
}

/** What a block of a store is of. */
export interface PrefixBlockIdentity {
  /** Its name, which all tokens before it decide, too. */
  readonly key: string;
  readonly cache: CacheIdentity;
  readonly namespace: string;
  readonly group: number;
  /** Position of its first token. */
  readonly start: number;
  readonly tokens: readonly number[];
}

/** How it was kept. */
export interface PrefixBlockContent {
  readonly exact: boolean;
  /** Whether its bytes are in the warm part's format. */
  readonly rounded: boolean;
  readonly bytes: Uint8Array;
}

/** Magic, length of the header (u32, little-endian), header (JSON), bytes of every store in order, SHA-256 of all that. */
export async function encodePrefixBlock(
  identity: PrefixBlockIdentity,
  { exact, rounded, bytes }: PrefixBlockContent,
): Promise<Uint8Array<ArrayBuffer>> {
  const header = headerOf(identity, { exact, rounded, byteLength: bytes.length });
  const all = new Uint8Array(header.length + bytes.length + digestBytes);
  all.set(header);
  all.set(bytes, header.length);
  all.set(await sha256(all.subarray(0, -digestBytes)), all.length - digestBytes);
  return all;
}

/**
 * The content of a block; undefined for bytes that are damaged, cut off, or of anything else.
 * @param byteLength what the content must have, rounded or not
 */
export async function decodePrefixBlock(
  identity: PrefixBlockIdentity,
  byteLength: (rounded: boolean) => number | undefined,
  found: Uint8Array,
): Promise<PrefixBlockContent | undefined> {
  if (!(found instanceof Uint8Array)) return undefined;
  for (const [exact, rounded] of [
    [true, false],
    [false, true],
    [false, false],
  ] as const) {
    const length = byteLength(rounded);
    if (length === undefined) continue;
    const header = headerOf(identity, { exact, rounded, byteLength: length });
    if (found.length !== header.length + length + digestBytes) continue;
    if (header.some((byte, i) => byte !== found[i])) continue;
    const own = new Uint8Array(found); // nobody changes it meanwhile
    const end = own.length - digestBytes;
    const sum = await sha256(own.subarray(0, end));
    if (sum.some((byte, i) => byte !== own[end + i])) return undefined;
    return { exact, rounded, bytes: own.subarray(header.length, end) };
  }
  return undefined;
}

/** What the names of a namespace's blocks begin with. */
export const rootDigest = (cache: CacheIdentity, namespace: string, salt: string): Promise<Uint8Array> =>
  sha256(new TextEncoder().encode(JSON.stringify({ version, salt, namespace, ...cache })));

/** Of a block of tokens, and all before it. */
export async function chainDigest(before: Promise<Uint8Array>, tokens: ArrayLike<number>): Promise<Uint8Array> {
  const previous = await before;
  const bytes = new Uint8Array(previous.length + 4 * tokens.length);
  bytes.set(previous);
  const view = new DataView(bytes.buffer);
  for (let i = 0; i < tokens.length; i++) view.setInt32(previous.length + 4 * i, tokens[i]!, true);
  return sha256(bytes);
}

/** The name of a group's part of a block: letters, digits and `-`. */
export const keyOfBlock = (digest: Uint8Array, group: number): string =>
  `${Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')}-${group}`;

function headerOf(
  identity: PrefixBlockIdentity,
  content: { readonly exact: boolean; readonly rounded: boolean; readonly byteLength: number },
): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ version, ...identity, ...content }));
  const header = new Uint8Array(12 + text.length);
  header.set(new TextEncoder().encode(magic));
  new DataView(header.buffer).setUint32(8, text.length, true);
  header.set(text, 12);
  return header;
}

/** More than that is left to other threads. */
const fewBytes = 4096;

async function sha256(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  // names of blocks follow from each other: thousands of turns of threads that may be busy otherwise would be waited for
  const hash = bytes.length <= fewBytes ? nodeHash() : undefined;
  if (hash) return new Uint8Array(hash('sha256').update(bytes).digest());
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}

type CreateHash = (name: 'sha256') => { update(bytes: Uint8Array): { digest(): Uint8Array } };

/** Asked of the process rather than imported, so that bundlers for browsers see no module that they lack. */
function nodeHash(): CreateHash | undefined {
  const { process } = globalThis as { process?: { getBuiltinModule?(name: string): unknown } };
  const found = process?.getBuiltinModule?.('node:crypto') as { readonly createHash?: CreateHash } | undefined;
  return found?.createHash;
}
