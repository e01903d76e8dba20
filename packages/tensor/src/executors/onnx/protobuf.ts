const utf8 = new TextEncoder();

/** Writes one protobuf message, field by field. Bytes are kept by reference until `finish`, so large ones are copied once. */
export class Message {
  readonly #parts: Uint8Array[] = [];
  #byteLength = 0;

  /** Wire type 0: a non-negative or, in ten bytes, a negative integer. */
  int(field: number, value: number | bigint): this {
    return this.#varint(field << 3).#varint(value);
  }
  /** Wire type 5. */
  float(field: number, value: number): this {
    const bytes = new Uint8Array(4);
    new DataView(bytes.buffer).setFloat32(0, value, true);
    return this.#varint((field << 3) | 5).#push(bytes);
  }
  /** Wire type 2. */
  bytes(field: number, value: ArrayBufferView): this {
    this.#varint((field << 3) | 2).#varint(value.byteLength);
    return this.#push(new Uint8Array(value.buffer, value.byteOffset, value.byteLength));
  }
  string(field: number, value: string): this {
    return this.bytes(field, utf8.encode(value));
  }
  message(field: number, value: Message): this {
    this.#varint((field << 3) | 2).#varint(value.#byteLength);
    for (const part of value.#parts) this.#push(part);
    return this;
  }
  finish(): Uint8Array<ArrayBuffer> {
    const out = new Uint8Array(this.#byteLength);
    let at = 0;
    for (const part of this.#parts) {
      out.set(part, at);
      at += part.length;
    }
    return out;
  }

  #varint(value: number | bigint): this {
    const bytes: number[] = [];
    let rest = BigInt.asUintN(64, BigInt(value));
    for (; rest > 127n; rest >>= 7n) bytes.push(Number(rest & 127n) | 128);
    bytes.push(Number(rest));
    return this.#push(Uint8Array.from(bytes));
  }
  #push(bytes: Uint8Array): this {
    this.#parts.push(bytes);
    this.#byteLength += bytes.length;
    return this;
  }
}
