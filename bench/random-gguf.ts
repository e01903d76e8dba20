// A Llama of random weights in blocks as the bytes of a GGUF file, for measuring: its text means nothing.
import type { LlamaSizes } from './random-llama.js';

const types = { f32: 0, q4_0: 2, q8_0: 8 } as const;
/** Bytes of a block of 32 values, of which the first two are its scale. */
const blockBytes = { q4_0: 18, q8_0: 34 } as const;

/** `kind` is what matrices are stored in; norms are f32. */
export function randomGgufLlama(sizes: LlamaSizes, kind: keyof typeof blockBytes): Uint8Array<ArrayBuffer> {
  const { hidden: E, feedForward: F, heads: H, keyValueHeads: K, vocabulary: V, layers, positions } = sizes;
  const D = E / H;
  const tensors: [string, readonly number[]][] = [
    ['token_embd.weight', [V, E]],
    ['output_norm.weight', [E]],
    ['output.weight', [V, E]],
  ];
  for (let i = 0; i < layers; i++) {
    const add = (name: string, ...shape: number[]) => tensors.push([`blk.${i}.${name}.weight`, shape]);
    add('attn_norm', E);
    add('attn_q', E, E);
    add('attn_k', K * D, E);
    add('attn_v', K * D, E);
    add('attn_output', E, E);
    add('ffn_norm', E);
    add('ffn_gate', F, E);
    add('ffn_up', F, E);
    add('ffn_down', E, F);
  }
  const numbers: Readonly<Record<string, number>> = {
    'llama.block_count': layers,
    'llama.context_length': positions,
    'llama.embedding_length': E,
    'llama.feed_forward_length': F,
    'llama.attention.head_count': H,
    'llama.attention.head_count_kv': K,
    'llama.vocab_size': V,
  };
  const head = new Writer();
  head
    .u32(0x46554747)
    .u32(3)
    .u64(tensors.length)
    .u64(Object.keys(numbers).length + 3);
  head.string('general.architecture').u32(8).string('llama');
  for (const [key, value] of Object.entries(numbers)) head.string(key).u32(4).u32(value);
  for (const [key, value] of [
    ['llama.attention.layer_norm_rms_epsilon', 1e-5],
    ['llama.rope.freq_base', 10_000],
  ] as const)
    head.string(key).u32(6).f32(value);
  let at = 0;
  const places = tensors.map(([name, shape]) => {
    const count = shape.reduce((a, b) => a * b, 1);
    const inBlocks = shape.length === 2;
    head.string(name).u32(shape.length);
    for (const size of [...shape].reverse()) head.u64(size);
    head.u32(inBlocks ? types[kind] : types.f32).u64(at);
    const place = { at, bytes: inBlocks ? (count / 32) * blockBytes[kind] : count * 4, inBlocks };
    at = Math.ceil((at + place.bytes) / 32) * 32;
    return place;
  });
  const start = Math.ceil(head.length / 32) * 32;
  const file = new Uint8Array(start + at);
  head.copyTo(file);
  const table = randomBlocks(blockBytes[kind]);
  for (const place of places) {
    const data = file.subarray(start + place.at, start + place.at + place.bytes);
    if (!place.inBlocks) new Float32Array(data.buffer, data.byteOffset, data.byteLength / 4).fill(1);
    else for (let i = 0; i < data.length; i += table.length) data.set(table.subarray(0, data.length - i), i);
  }
  return file;
}

/** A prime number of blocks of random values with the scale 0.005, so that no two rows are alike. */
function randomBlocks(size: number): Uint8Array {
  const table = new Uint8Array(10_007 * size);
  let state = 1;
  for (let i = 0; i < table.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    table[i] = state >>> 24;
  }
  for (let block = 0; block < table.length; block += size) [table[block], table[block + 1]] = [0x1f, 0x1d];
  return table;
}

/** Little-endian values, one after the other. */
class Writer {
  readonly #bytes: number[] = [];
  get length(): number {
    return this.#bytes.length;
  }
  u32(value: number): this {
    return this.#add(4, (view) => view.setUint32(0, value, true));
  }
  u64(value: number): this {
    return this.#add(8, (view) => view.setBigUint64(0, BigInt(value), true));
  }
  f32(value: number): this {
    return this.#add(4, (view) => view.setFloat32(0, value, true));
  }
  string(text: string): this {
    const bytes = new TextEncoder().encode(text);
    this.u64(bytes.length);
    this.#bytes.push(...bytes);
    return this;
  }
  copyTo(file: Uint8Array): void {
    file.set(this.#bytes);
  }
  #add(size: number, set: (view: DataView) => void): this {
    const bytes = new Uint8Array(size);
    set(new DataView(bytes.buffer));
    this.#bytes.push(...bytes);
    return this;
  }
}
