import { DisposedError, FileFormatError } from '@heddle/tensor';
import { type FileInput, type OpenSource, openSource } from '@heddle/tensor/safetensors';
import { type GgufValue, MoreNeeded } from './gguf-cursor.ts';
import { type GgufHeader, type GgufTensor, parseGgufHeader } from './gguf-header.ts';

/** What is read first; a header with a vocabulary is some MiB. */
const firstBytes = 2 ** 20;
/** A header longer than this is none: the largest vocabularies take some 30 MB. */
const maxHeaderLength = 2 ** 29;

/** An open GGUF file: its header is checked, no data is read. */
export interface GgufFile {
  readonly label: string;
  readonly byteLength: number;
  readonly metadata: ReadonlyMap<string, GgufValue>;
  /** In the order of their data. */
  readonly tensors: ReadonlyMap<string, GgufTensor>;
  /** Where the bytes of each key with its value stand in the file. */
  readonly entries: GgufHeader['entries'];
  /** Bytes of the file from an offset on. @throws FileFormatError, DisposedError after `close` */
  bytes(offset: number, length: number): Promise<Uint8Array<ArrayBuffer>>;
  /** Raw bytes of a tensor, in a buffer that is the caller's. @throws FileFormatError, DisposedError after `close` */
  read(name: string): Promise<Uint8Array<ArrayBuffer>>;
  /** Idempotent. */
  close(): Promise<void>;
}

/**
 * Opens a GGUF file for reading by position. The caller closes it.
 * @throws FileFormatError `ERR_FILE_NOT_FOUND`, `ERR_FILE_ACCESS`, `ERR_GGUF_HEADER`, `ERR_GGUF_TRUNCATED`
 */
export async function openGguf(
  input: FileInput,
  label: string = typeof input === 'string' ? input : 'gguf file',
): Promise<GgufFile> {
  const source = await openSource(input);
  try {
    return openFile(source, label, await readHeader(source, label));
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readHeader(source: OpenSource, label: string): Promise<GgufHeader> {
  let length = Math.min(firstBytes, source.byteLength);
  for (;;) {
    const bytes = await source.read(0, length);
    try {
      return parseGgufHeader(label, bytes, source.byteLength);
    } catch (error) {
      if (!(error instanceof MoreNeeded)) throw error;
      if (error.bytes > maxHeaderLength)
        throw new FileFormatError(`gguf: ${label}: the header is longer than ${maxHeaderLength} bytes`, {
          code: 'ERR_GGUF_HEADER',
        });
      length = Math.min(source.byteLength, Math.max(2 * length, error.bytes));
    }
  }
}

function openFile(source: OpenSource, label: string, { metadata, entries, tensors }: GgufHeader): GgufFile {
  const byName = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  let closed = false;
  return {
    label,
    byteLength: source.byteLength,
    metadata,
    tensors: byName,
    entries,
    async bytes(offset, length) {
      if (closed) throw new DisposedError(`gguf: ${label}: read after close`);
      return source.read(offset, length);
    },
    async read(name) {
      if (closed) throw new DisposedError(`gguf: ${label}: read of ${name} after close`);
      const tensor = byName.get(name);
      if (!tensor) throw new FileFormatError(`gguf: ${label}: has no tensor ${name}`, { code: 'ERR_GGUF_NO_TENSOR' });
      return source.read(tensor.byteOffset, tensor.byteLength);
    },
    async close() {
      if (closed) return;
      closed = true;
      await source.close();
    },
  };
}
