import { ArgumentError, FileFormatError } from '../checks/errors.ts';
import { fileError, nodeFiles } from './node-files.ts';

/**
 * Bytes that are read by position, such as a file, a range of an HTTP resource, or a part of memory.
 *
 * `read` answers with exactly `length` bytes from `offset`; reads may be under way at once. Who is handed a source that
 * has `close` calls it when done.
 */
export interface ByteSource {
  readonly byteLength: number;
  /** `length` bytes from `offset` on. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Lets go of the source. */
  close?(): Promise<void> | void;
}

/** What files can be opened from: a path (where there is `node:fs`), a Blob or File, bytes, or a source of one's own. */
export type FileInput = string | Blob | Uint8Array | ByteSource;

/** A source as the readers here use it: checked, answering with memory that is the caller's alone. */
export interface OpenSource {
  /** Names the source in messages. */
  readonly label: string;
  readonly byteLength: number;
  read(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  close(): Promise<void>;
}

/** Node refuses reads of 2 GiB and over in one call. */
const maxReadLength = 2 ** 30;

/**
 * Opens any input for reading by position.
 *
 * @throws FileFormatError `ERR_FILE_NOT_FOUND`, `ERR_FILE_ACCESS`; ArgumentError if the input is none of the kinds.
 */
export async function openSource(input: FileInput): Promise<OpenSource> {
  return openInput('openSource', input);
}

/** `openSource` for an operation that is called otherwise. */
export async function openInput(operation: string, input: FileInput): Promise<OpenSource> {
  if (typeof input === 'string') return openPath(input);
  if (input instanceof Uint8Array) return openBytes(input);
  if (typeof Blob !== 'undefined' && input instanceof Blob) return openBlob(input);
  if (isByteSource(input)) return openCustom(input);
  throw new ArgumentError(
    `${operation}: takes a path, a Blob, a Uint8Array or { byteLength, read(offset, length) }, got ${describe(input)}`,
  );
}

async function openPath(path: string): Promise<OpenSource> {
  const files = nodeFiles();
  const operation = 'open file';
  const file = await files.open(path, 'r').catch((cause: unknown) => {
    throw fileError(operation, path, cause);
  });
  let byteLength: number;
  try {
    // A folder opens like a file; only reading tells them apart.
    await file.read(new Uint8Array(1), 0, 1, 0);
    byteLength = (await file.stat()).size;
  } catch (cause) {
    await file.close();
    throw fileError(operation, path, cause);
  }
  return {
    label: path,
    byteLength,
    async read(offset, length) {
      const bytes = allocate(path, length);
      let done = 0;
      while (done < length) {
        const step = Math.min(maxReadLength, length - done);
        const { bytesRead } = await file.read(bytes, done, step, offset + done).catch((cause: unknown) => {
          throw fileError('read file', path, cause);
        });
        if (bytesRead === 0) throw shortRead(path, offset, length, done);
        done += bytesRead;
      }
      return bytes;
    },
    close: () => file.close(),
  };
}

function openBytes(bytes: Uint8Array): OpenSource {
  return {
    label: 'bytes',
    byteLength: bytes.byteLength,
    read: async (offset, length) =>
      checked('bytes', offset, length, new Uint8Array(bytes.subarray(offset, offset + length))),
    close: async () => {},
  };
}

function openBlob(blob: Blob): OpenSource {
  const label = 'name' in blob && typeof blob.name === 'string' ? blob.name : 'blob';
  return {
    label,
    byteLength: blob.size,
    async read(offset, length) {
      const buffer = await blob
        .slice(offset, offset + length)
        .arrayBuffer()
        .catch((cause: unknown) => {
          throw fileError('read file', label, cause);
        });
      return checked(label, offset, length, new Uint8Array(buffer));
    },
    close: async () => {},
  };
}

function openCustom(source: ByteSource): OpenSource {
  const { byteLength } = source;
  if (!Number.isSafeInteger(byteLength) || byteLength < 0) {
    throw new ArgumentError(`open file: byteLength must be a non-negative integer, got ${String(byteLength)}`);
  }
  return {
    label: 'source',
    byteLength,
    async read(offset, length) {
      const bytes = await source.read(offset, length);
      if (!(bytes instanceof Uint8Array)) {
        throw new ArgumentError(`read file: the source's read() must give a Uint8Array, gave ${describe(bytes)}`);
      }
      // The source may have handed out a view of memory that it will use again.
      return new Uint8Array(checked('source', offset, length, bytes));
    },
    close: async () => {
      await source.close?.();
    },
  };
}

function isByteSource(input: unknown): input is ByteSource {
  return (
    typeof input === 'object' &&
    input !== null &&
    'byteLength' in input &&
    'read' in input &&
    typeof input.read === 'function'
  );
}

function checked<T extends Uint8Array>(label: string, offset: number, length: number, bytes: T): T {
  if (bytes.byteLength !== length) throw shortRead(label, offset, length, bytes.byteLength);
  return bytes;
}

function allocate(label: string, length: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(length);
  } catch (cause) {
    throw new FileFormatError(`read file: ${label}: cannot hold ${length} bytes at once`, {
      code: 'ERR_FILE_ACCESS',
      cause,
    });
  }
}

function shortRead(label: string, offset: number, expected: number, got: number): FileFormatError {
  return new FileFormatError(`read file: ${label}: expected ${expected} bytes at ${offset}, got ${got}`, {
    code: 'ERR_FILE_ACCESS',
  });
}

function describe(value: unknown): string {
  if (value === null) return 'null';
  return typeof value === 'object' ? (value.constructor?.name ?? 'an object') : typeof value;
}
