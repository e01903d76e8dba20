import { FileFormatError } from '@heddle/tensor';
import type { HeldKv } from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';

/** What a snapshot holds: a sequence, and whose it is. */
export interface SnapshotContent {
  /** Tells the model, and whatever else decides keys and values, from others. */
  readonly model: string;
  readonly length: number;
  /** Ids of its tokens, as far as they were named. */
  readonly tokens: readonly number[];
  readonly shape: KvShape;
  /** Rows by position, and states. */
  readonly held: HeldKv;
}

const magic = 'HEDDLEKV';
const version = 2;
const digestBytes = 32;
/** Magic, version, length of the header. */
const fixedBytes = 16;

/** Positions of the rows of each store, by layer and name. */
type AllRanges = readonly Readonly<Record<string, HeldKv[number][string]['ranges']>>[];

/**
 * One file: magic, version and length of the header (u32, little-endian), header (JSON), zeros up to a multiple of 8, rows or
 * state of every store in the order of the header, SHA-256 of all that.
 */
export async function writeSnapshot({ held, ...header }: SnapshotContent): Promise<Uint8Array<ArrayBuffer>> {
  const ranges = held.map((layer) =>
    Object.fromEntries(Object.entries(layer).map(([name, { ranges }]) => [name, ranges])),
  );
  const text = new TextEncoder().encode(JSON.stringify({ ...header, ranges }));
  const parts = header.shape.layers.flatMap((layer, index) =>
    Object.keys(layer).map((name) => held[index]![name]!.data),
  );
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
    refuse(`it must have at least ${fixedBytes + digestBytes} bytes, got ${bytes.length}`);
  const own = Uint8Array.from(bytes); // aligned, and nobody changes it meanwhile
  if (new TextDecoder().decode(own.subarray(0, 8)) !== magic) refuse(`it must begin with ${magic}`);
  const view = new DataView(own.buffer);
  if (view.getUint32(8, true) !== version) refuse(`its version must be ${version}, got ${view.getUint32(8, true)}`);
  const end = own.length - digestBytes;
  const sum = await digest(own.subarray(0, end));
  if (sum.some((byte, i) => byte !== own[end + i])) refuse('its checksum does not fit: it is damaged or cut off');
  const headerEnd = fixedBytes + view.getUint32(12, true);
  if (headerEnd > end) refuse('its header is longer than the file');
  const { ranges, ...header } = parseHeader(new TextDecoder().decode(own.subarray(fixedBytes, headerEnd)));
  let at = align(headerEnd);
  const held = header.shape.layers.map((layer, index) =>
    Object.fromEntries(
      Object.entries(layer).map(([name, { shape, dtype }]) => {
        const places = ranges[index]![name]!;
        const size = (shape as readonly number[]).reduce((product, one) => product * one, 1);
        const state = layer[name]!.kind === 'state';
        const count = state ? size : size * places.reduce((sum, [start, stop]) => sum + stop - start, 0);
        const byteLength = count * (dtype === 'f16' ? 2 : 4);
        if (at + byteLength > end) refuse(`it must have ${at + byteLength} bytes of rows, got ${end}`);
        const part = own.buffer.slice(at, at + byteLength);
        at += byteLength;
        return [name, { ranges: places, data: dtype === 'f16' ? new Uint16Array(part) : new Float32Array(part) }];
      }),
    ),
  );
  if (at !== end) refuse(`it must have ${at} bytes of rows, got ${end}`);
  return { ...header, held };
}

function parseHeader(text: string): Omit<SnapshotContent, 'held'> & { readonly ranges: AllRanges } {
  let header: Partial<SnapshotContent> & { readonly ranges?: AllRanges };
  try {
    header = JSON.parse(text) as typeof header;
  } catch (cause) {
    return refuse('its header is no JSON', cause);
  }
  const { model, length, tokens, shape, ranges } = header ?? {};
  const whole = (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 0;
  if (typeof model !== 'string' || !whole(length) || !Array.isArray(tokens) || !tokens.every(whole))
    return refuse('its header lacks model, length or tokens');
  if (tokens.length > length!) return refuse(`it names ${tokens.length} tokens of ${length}`);
  const sound = (store: unknown) => {
    const { kind, shape: sizes, dtype } = (store ?? {}) as { kind?: unknown; shape?: unknown; dtype?: unknown };
    const dims = Array.isArray(sizes) && sizes.every(whole) && (kind === 'state' || sizes.length === 2);
    return dims && (kind === 'rows' || kind === 'state') && (dtype === 'f16' || dtype === 'f32');
  };
  if (!Array.isArray(shape?.layers) || !shape.layers.every((layer) => Object.values(layer ?? {}).every(sound)))
    return refuse('its header has no sound shape');
  const ordered = (own: unknown) =>
    Array.isArray(own) &&
    own.every(
      (range: unknown, i) =>
        Array.isArray(range) &&
        range.length === 2 &&
        range.every(whole) &&
        (i === 0 ? 0 : (own[i - 1] as number[])[1]!) <= range[0] &&
        range[0] < range[1] &&
        range[1] <= length!,
    );
  if (
    !Array.isArray(ranges) ||
    !shape.layers.every((layer, i) => Object.keys(layer).every((name) => ordered(ranges[i]?.[name])))
  )
    return refuse('its header does not say which positions it has');
  return { model, length: length!, tokens, shape, ranges };
}

export function refuse(why: string, cause?: unknown): never {
  throw new FileFormatError(`snapshot: ${why}`, { code: 'ERR_KV_SNAPSHOT', ...(cause !== undefined && { cause }) });
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes));
}
const align = (offset: number): number => Math.ceil(offset / 8) * 8;
