import { ArgumentError, DisposedError, FileFormatError } from '../checks/errors.ts';
import type { OpenSource } from './byte-source.ts';
import {
  headerLength,
  type PlacedTensor,
  parseHeader,
  prefixLength,
  type SafetensorsInfo,
  truncated,
} from './safetensors-header.ts';

/** Some of the bytes of a tensor, which has them. */
export interface BytePart {
  readonly offset: number;
  readonly length: number;
}

/** Tensors of one safetensors file, or of a folder of them. */
export interface SafetensorsFile {
  /** The file's `__metadata__`; empty where there is none. */
  readonly metadata: ReadonlyMap<string, string>;
  /** Names of the tensors, in the order of their data: reading in this order reads forwards. */
  names(): string[];
  /** Whether there is such a tensor. */
  has(name: string): boolean;
  /** @throws FileFormatError `ERR_SAFETENSORS_NO_TENSOR` if there is no such tensor. */
  info(name: string): SafetensorsInfo;
  /**
   * Reads the raw bytes of one tensor, little-endian and row-major, into a fresh ArrayBuffer that is the caller's.
   *
   * @param part which of its bytes, for tensors that are too large to be held at once; all by default
   * @throws FileFormatError `ERR_SAFETENSORS_NO_TENSOR`, `ERR_FILE_ACCESS`; DisposedError after `close`; ArgumentError for
   *   a part that the tensor has not.
   */
  read(name: string, part?: BytePart): Promise<Uint8Array<ArrayBuffer>>;
  /** Lets go of the source; idempotent. */
  close(): Promise<void>;
}

/** Reads and checks the header of an open source; the file owns the source, which is closed if the header is bad. */
export async function readSafetensors(source: OpenSource): Promise<SafetensorsFile> {
  const { label, byteLength } = source;
  try {
    if (byteLength < prefixLength)
      throw truncated(label, `the header's length ends at byte ${prefixLength}`, byteLength);
    const length = headerLength(label, await source.read(0, prefixLength), byteLength);
    const { metadata, tensors } = parseHeader(label, await source.read(prefixLength, length), byteLength);
    return new SingleFile(source, metadata, tensors);
  } catch (error) {
    await source.close();
    throw error;
  }
}

class SingleFile implements SafetensorsFile {
  readonly metadata: ReadonlyMap<string, string>;
  readonly #source: OpenSource;
  readonly #tensors: ReadonlyMap<string, PlacedTensor>;
  #closed = false;

  constructor(source: OpenSource, metadata: ReadonlyMap<string, string>, tensors: readonly PlacedTensor[]) {
    this.metadata = metadata;
    this.#source = source;
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]));
  }

  names(): string[] {
    return [...this.#tensors.keys()];
  }

  has(name: string): boolean {
    return this.#tensors.has(name);
  }

  info(name: string): SafetensorsInfo {
    const { dtype, shape, byteLength } = this.#find(name);
    return { dtype, shape, byteLength };
  }

  async read(name: string, part?: BytePart): Promise<Uint8Array<ArrayBuffer>> {
    if (this.#closed) throw new DisposedError(`safetensors: ${this.#source.label}: read of ${name} after close`);
    const { byteOffset, byteLength } = this.#find(name);
    const { offset, length } = part ?? { offset: 0, length: byteLength };
    if (!(Number.isSafeInteger(offset) && Number.isSafeInteger(length) && offset >= 0 && length >= 0))
      throw new ArgumentError(`safetensors: ${name}: a part is a whole number of bytes, got ${offset} and ${length}`);
    if (offset + length > byteLength)
      throw new ArgumentError(`safetensors: ${name} has ${byteLength} bytes, asked for ${length} from ${offset} on`);
    return this.#source.read(byteOffset + offset, length);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#source.close();
  }

  #find(name: string): PlacedTensor {
    const tensor = this.#tensors.get(name);
    if (!tensor) throw noTensor(this.#source.label, name, this.#tensors.keys());
    return tensor;
  }
}

/** The error for a name that is not in a file, with some names that are. */
export function noTensor(label: string, name: string, names: Iterable<string>): FileFormatError {
  const known = [...names];
  const some = known.slice(0, 5).join(', ');
  return new FileFormatError(
    `safetensors: ${label}: no tensor ${name} among its ${known.length} (${some}${known.length > 5 ? ', ...' : ''})`,
    { code: 'ERR_SAFETENSORS_NO_TENSOR' },
  );
}
