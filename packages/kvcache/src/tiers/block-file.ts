import type { HostKv } from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';
import { emptyRows } from './host-rows.ts';

const magic = 'HEDDLEKB';
const digestBytes = 32;

/** What a block is of: whoever reads it must ask for the same. */
export interface BlockIdentity {
  readonly key: string;
  readonly shape: KvShape;
  readonly tokens: number;
}

/** Magic, length of the identity (u32, little-endian), identity (JSON), rows of every store in order, SHA-256 of all that. */
export async function encodeBlock(identity: BlockIdentity, rows: HostKv): Promise<Uint8Array<ArrayBuffer>> {
  const header = headerOf(identity);
  const parts = rows.flatMap((layer) => Object.values(layer));
  const end = parts.reduce((at, part) => at + part.byteLength, header.length);
  const bytes = new Uint8Array(end + digestBytes);
  bytes.set(header);
  let at = header.length;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  bytes.set(await digest(bytes.subarray(0, end)), end);
  return bytes;
}

/** The rows of a block; undefined for bytes that are damaged, cut off, or of anything else. */
export async function decodeBlock(identity: BlockIdentity, bytes: Uint8Array): Promise<HostKv | undefined> {
  const header = headerOf(identity);
  const rows = emptyRows(identity.shape, identity.tokens);
  const parts = rows.flatMap((layer) => Object.values(layer));
  const end = parts.reduce((at, part) => at + part.byteLength, header.length);
  if (!(bytes instanceof Uint8Array) || bytes.length !== end + digestBytes) return undefined;
  const own = Uint8Array.from(bytes);
  if (header.some((byte, i) => byte !== own[i])) return undefined;
  const sum = await digest(own.subarray(0, end));
  if (sum.some((byte, i) => byte !== own[end + i])) return undefined;
  let at = header.length;
  for (const part of parts) {
    new Uint8Array(part.buffer, part.byteOffset, part.byteLength).set(own.subarray(at, at + part.byteLength));
    at += part.byteLength;
  }
  return rows;
}

function headerOf(identity: BlockIdentity): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify({ version: 1, ...identity }));
  const header = new Uint8Array(12 + text.length);
  header.set(new TextEncoder().encode(magic));
  new DataView(header.buffer).setUint32(8, text.length, true);
  header.set(text, 12);
  return header;
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
