import { FileFormatError } from '@heddle/tensor';
import type { HostKv } from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';

/** What a snapshot holds: a sequence, and whose it is. */
export interface SnapshotContent {
  /** Tells the model, and whatever else decides keys and values, from others. */
  readonly model: string;
  readonly length: number;
  /** Ids of its tokens, as far as they were named. */
  readonly tokens: readonly number[];
  readonly shape: KvShape;
  readonly rows: HostKv;
}

const magic = 'HEDDLEKV';
const version = 1;
const digestBytes = 32;
/** Magic, version, length of the header. */
const fixedBytes = 16;

/**
 * One file: magic, version and length of the header (u32, little-endian), header (JSON), zeros up to a multiple of 8, rows of
 * every store in the order of the header, SHA-256 of all that.
 */
export async function writeSnapshot({ rows, ...header }: SnapshotContent): Promise<Uint8Array<ArrayBuffer>> {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const parts = header.shape.layers.flatMap((layer, index) => Object.keys(layer).map((name) => rows[index]![name]!));
  const start = align(fixedBytes + text.length);
  const end = parts.reduce((at, part) => at + part.byteLength, start);
  const bytes = new Uint8Array(end + digestBytes);
  bytes.set(new TextEncoder().encode(magic));
  new DataView(bytes.buffer).setUint32(8, version, true);
  new DataView(bytes.buffer).setUint32(12, text.length, true);
  bytes.set(text, fixedBytes);
  let at = start;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer, part.byteOffset, part.byteLength), at);
    at += part.byteLength;
  }
  bytes.set(await digest(bytes.subarray(0, end)), end);
  return bytes;
}

/** @throws FileFormatError `ERR_KV_SNAPSHOT` for a file that is damaged, or of another version */
export async function readSnapshot(bytes: Uint8Array): Promise<SnapshotContent> {
  if (!(bytes instanceof Uint8Array)) refuse(`a snapshot is a Uint8Array, got ${typeof bytes}`);
  if (bytes.length < fixedBytes + digestBytes)
    refuse(`it must have ${fixedBytes + digestBytes} bytes, got ${bytes.length}`);
  const own = Uint8Array.from(bytes); // aligned, and nobody changes it meanwhile
  if (new TextDecoder().decode(own.subarray(0, 8)) !== magic) refuse(`it must begin with ${magic}`);
  const view = new DataView(own.buffer);
  if (view.getUint32(8, true) !== version) refuse(`its version must be ${version}, got ${view.getUint32(8, true)}`);
  const end = own.length - digestBytes;
  const sum = await digest(own.subarray(0, end));
  if (sum.some((byte, i) => byte !== own[end + i])) refuse('its checksum does not fit: it is damaged or cut off');
  const headerEnd = fixedBytes + view.getUint32(12, true);
  if (headerEnd > end) refuse('its header is longer than the file');
  const header = parseHeader(new TextDecoder().decode(own.subarray(fixedBytes, headerEnd)));
  let at = align(headerEnd);
  const rows = header.shape.layers.map((layer) =>
    Object.fromEntries(
      Object.entries(layer).map(([name, { shape, dtype }]) => {
        const count = header.length * shape[0] * shape[1];
        const byteLength = count * (dtype === 'f16' ? 2 : 4);
        if (at + byteLength > end) refuse(`it must have ${at + byteLength} bytes of rows, got ${end}`);
        const part = own.buffer.slice(at, at + byteLength);
        at += byteLength;
        return [name, dtype === 'f16' ? new Uint16Array(part) : new Float32Array(part)];
      }),
    ),
  );
  if (at !== end) refuse(`it must have ${at} bytes of rows, got ${end}`);
  return { ...header, rows };
}

function parseHeader(text: string): Omit<SnapshotContent, 'rows'> {
  let header: Partial<SnapshotContent>;
  try {
    header = JSON.parse(text) as Partial<SnapshotContent>;
  } catch (cause) {
    return refuse('its header is no JSON', cause);
  }
  const { model, length, tokens, shape } = header ?? {};
  const whole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof model !== 'string' || !whole(length) || !Array.isArray(tokens) || !tokens.every(whole))
    return refuse('its header lacks model, length or tokens');
  if (tokens.length > length!) return refuse(`it names ${tokens.length} tokens of ${length}`);
  const sound = (store: unknown) => {
    const { shape: sizes, dtype } = (store ?? {}) as { shape?: unknown; dtype?: unknown };
    return Array.isArray(sizes) && sizes.length === 2 && sizes.every(whole) && (dtype === 'f16' || dtype === 'f32');
  };
  if (!Array.isArray(shape?.layers) || !shape.layers.every((layer) => Object.values(layer ?? {}).every(sound)))
    return refuse('its header has no sound shape');
  return { model, length: length!, tokens, shape };
}

export function refuse(why: string, cause?: unknown): never {
  throw new FileFormatError(`snapshot: ${why}`, { code: 'ERR_KV_SNAPSHOT', ...(cause !== undefined && { cause }) });
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
const align = (offset: number): number => Math.ceil(offset / 8) * 8;
