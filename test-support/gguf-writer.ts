/** A value of a GGUF file's metadata with its type: a number of the format. */
export type GgufEntry =
  | readonly ['u32', number]
  | readonly ['f32', number]
  | readonly ['u64', number]
  | readonly ['bool', boolean]
  | readonly ['string', string]
  | readonly ['strings', readonly string[]]
  | readonly ['f32s', readonly number[]]
  | readonly ['i32s', readonly number[]];

export interface GgufTensorEntry {
  /** Number of the type in the format. */
  readonly type: number;
  /** Outermost first. */
  readonly shape: readonly number[];
  readonly bytes: Uint8Array;
}

/** A GGUF file of version 3, for tests. */
export function writeGguf(
  metadata: Readonly<Record<string, GgufEntry>>,
  tensors: Readonly<Record<string, GgufTensorEntry>>,
): Uint8Array<ArrayBuffer> {
  const out: number[] = [];
  const number = (bytes: number, write: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(bytes));
    write(view);
    out.push(...new Uint8Array(view.buffer));
  };
  const u32 = (value: number) => number(4, (view) => view.setUint32(0, value, true));
  const u64 = (value: number) => number(8, (view) => view.setBigUint64(0, BigInt(value), true));
  const f32 = (value: number) => number(4, (view) => view.setFloat32(0, value, true));
  const text = (value: string) => {
    const bytes = new TextEncoder().encode(value);
    u64(bytes.length);
    out.push(...bytes);
  };
  const list = <T>(type: number, values: readonly T[], write: (value: T) => void) => {
    u32(9);
    u32(type);
    u64(values.length);
    for (const value of values) write(value);
  };
  const writeEntry = ([kind, value]: GgufEntry) => {
    switch (kind) {
      case 'u32':
        u32(4);
        return u32(value);
      case 'f32':
        u32(6);
        return f32(value);
      case 'u64':
        u32(10);
        return u64(value);
      case 'bool':
        u32(7);
        out.push(value ? 1 : 0);
        return;
      case 'string':
        u32(8);
        return text(value);
      case 'strings':
        return list(8, value, text);
      case 'f32s':
        return list(6, value, f32);
      case 'i32s':
        return list(5, value, u32);
    }
  };
  const align = () => {
    while (out.length % 32 !== 0) out.push(0);
  };
  out.push(...new TextEncoder().encode('GGUF'));
  u32(3);
  u64(Object.keys(tensors).length);
  u64(Object.keys(metadata).length);
  for (const [key, entry] of Object.entries(metadata)) {
    text(key);
    writeEntry(entry);
  }
  let offset = 0;
  for (const [name, { type, shape, bytes }] of Object.entries(tensors)) {
    text(name);
    u32(shape.length);
    for (const size of [...shape].reverse()) u64(size);
    u32(type);
    u64(offset);
    offset += Math.ceil(bytes.length / 32) * 32;
  }
  align();
  for (const { bytes } of Object.values(tensors)) {
    for (const byte of bytes) out.push(byte);
    align();
  }
  return Uint8Array.from(out);
}
