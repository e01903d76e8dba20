import { FileFormatError } from '@heddle/tensor';

/** Thrown where a header goes on beyond the bytes that were read of it. */
export class MoreNeeded extends Error {
  readonly bytes: number;
  constructor(bytes: number) {
    super(`at least ${bytes} bytes are needed`);
    this.bytes = bytes;
  }
}

/** A value of a file's metadata. */
export type GgufValue = number | boolean | string | readonly GgufValue[];

/** Reads a header from its first bytes, and checks every length before it is believed. */
export class GgufCursor {
  readonly #label: string;
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #fileLength: number;
  #offset = 0;

  constructor(label: string, bytes: Uint8Array, fileLength: number) {
    this.#label = label;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.#fileLength = fileLength;
  }

  get offset(): number {
    return this.#offset;
  }

  u32(): number {
    return this.#view.getUint32(this.#take(4), true);
  }

  /** A length or offset. */
  u64(what: string): number {
    const value = this.#view.getBigUint64(this.#take(8), true);
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.bad(`${what} is ${value}`);
    return Number(value);
  }

  /** How many things follow, of at least so many bytes each: no more than the file has room for. */
  count(what: string, least: number): number {
    const count = this.u64(what);
    const left = this.#fileLength - this.#offset;
    if (count * least > left)
      throw this.bad(`${what} is ${count}, which takes ${count * least} bytes or more, and ${left} are left`, true);
    return count;
  }

  string(what: string): string {
    const length = this.count(`the length of ${what}`, 1);
    const start = this.#take(length);
    try {
      return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
        this.#bytes.subarray(start, start + length),
      );
    } catch {
      throw this.bad(`${what} is no UTF-8`);
    }
  }

  /** A value of a type that a number names; arrays of arrays go four deep. */
  value(what: string, type: number = this.u32(), depth = 0): GgufValue {
    switch (type) {
      case 0:
        return this.#view.getUint8(this.#take(1));
      case 1:
        return this.#view.getInt8(this.#take(1));
      case 2:
        return this.#view.getUint16(this.#take(2), true);
      case 3:
        return this.#view.getInt16(this.#take(2), true);
      case 4:
        return this.u32();
      case 5:
        return this.#view.getInt32(this.#take(4), true);
      case 6:
        return this.#view.getFloat32(this.#take(4), true);
      case 7: {
        const byte = this.#view.getUint8(this.#take(1));
        if (byte > 1) throw this.bad(`${what} is true or false, got ${byte}`);
        return byte === 1;
      }
      case 8:
        return this.string(what);
      case 9:
        return this.#array(what, depth);
      case 10:
        return this.u64(what);
      case 11:
        return Number(this.#view.getBigInt64(this.#take(8), true));
      case 12:
        return this.#view.getFloat64(this.#take(8), true);
      default:
        throw this.bad(`${what} has a value of type ${type}, which there is not`);
    }
  }

  /** @param isShort whether bytes are missing, rather than wrong */
  bad(message: string, isShort = false): FileFormatError {
    return new FileFormatError(`gguf: ${this.#label}: ${message}`, {
      code: isShort ? 'ERR_GGUF_TRUNCATED' : 'ERR_GGUF_HEADER',
    });
  }

  #array(what: string, depth: number): readonly GgufValue[] {
    if (depth === 4) throw this.bad(`${what} has arrays more than four deep`);
    const type = this.u32();
    const length = this.count(`the length of ${what}`, leastBytes[type] ?? 1);
    const values: GgufValue[] = [];
    for (let i = 0; i < length; i++) values.push(this.value(what, type, depth + 1));
    return values;
  }

  #take(length: number): number {
    const start = this.#offset;
    const end = start + length;
    if (end > this.#fileLength)
      throw this.bad(`the header goes on to byte ${end} at least, the file ends at ${this.#fileLength}`, true);
    if (end > this.#bytes.byteLength) throw new MoreNeeded(end);
    this.#offset = end;
    return start;
  }
}

/** Least bytes of a value of each type. */
const leastBytes: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  8: 8,
  9: 12,
  10: 8,
  11: 8,
  12: 8,
};
