import type { Device } from '@heddle/tensor';
import { type CompiledFunction, compile, f16ToF32, symbolicDim, type Tensor, take, type Update } from '@heddle/tensor';
import type { KvBatch, KvCache, KvSequence } from '../kv-cache.ts';
import { holds, same } from './contract.ts';

/** A sequence with what it must hold: a number for each token, from which its keys and values follow. */
export interface Tracked {
  readonly kv: KvSequence;
  readonly tokens: number[];
}

interface Inputs {
  readonly blockTable: Tensor;
  readonly lengths: Tensor;
  readonly slots: Tensor;
}
type Layers = readonly { readonly keys: Tensor; readonly values: Tensor }[];

/** Bound of the rows of a step, and of those that are read at once. */
const maxRows = 1024;
/** Keys of a layer are so much larger than those of the layer before; whole numbers, exact in f16. */
const layerStep = 500;

/** Uses a cache as an engine does, through compiled steps, with contents that tell tokens, layers, heads and places apart. */
export class CacheDriver {
  readonly device: Device;
  readonly cache: KvCache;
  readonly #write: CompiledFunction<[Inputs & { readonly rows: Tensor }], { sum: Tensor; updates: Update[] }>;
  readonly #read: CompiledFunction<
    [Inputs & { readonly entries: Tensor; readonly offsets: Tensor }],
    { lengths: Tensor; layers: Layers }
  >;
  #written = 0;

  constructor(device: Device, cache: KvCache) {
    this.device = device;
    this.cache = cache;
    const { layers, heads, headDim } = cache.shape;
    const i32 = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' as const });
    const inputs = {
      blockTable: i32('B', cache.maxBlocks === 1 ? 1 : 'N'),
      lengths: i32('B'),
      slots: i32('T'),
    };
    const symbols = { B: cache.maxSequences, N: cache.maxBlocks, T: maxRows, R: maxRows };
    const bind = ({ blockTable, lengths, slots }: Inputs) =>
      cache.bind({ blockTable, lengths, slots, maxLength: symbolicDim('S', cache.maxSequenceTokens) });
    const each = Array.from({ length: layers }, (_, layer) => layer);
    this.#write = compile(
      ({ rows, ...step }: Inputs & { readonly rows: Tensor }) => {
        const kv = bind(step);
        const writes = each.flatMap((layer) => {
          const keys = rows.add(layer * layerStep);
          return kv.write(layer, keys, keys.neg());
        });
        return { sum: rows.sum(), updates: writes };
      },
      { device, name: 'cache write', inputs: [{ ...inputs, rows: { shape: ['T', heads, headDim] } }], symbols },
    );
    this.#read = compile(
      ({ entries, offsets, ...step }: Inputs & { readonly entries: Tensor; readonly offsets: Tensor }) => {
        const kv = bind(step);
        const views = each.map((layer) => kv.layer(layer));
        const through = ({ blockTable, blockSize }: (typeof views)[number]) =>
          take(blockTable.flatten(), entries).mul(blockSize).add(offsets);
        return {
          lengths: views[0]!.lengths.add(0),
          layers: views.map((view) => ({
            keys: take(view.keys, through(view)).cast('f32'),
            values: take(view.values, through(view)).cast('f32'),
          })),
        };
      },
      { device, name: 'cache read', inputs: [{ ...inputs, entries: i32('R'), offsets: i32('R') }], symbols },
    );
  }

  open(id: string): Tracked {
    const kv = this.cache.sequence(id);
    holds(kv !== undefined, `there is room for the sequence ${id}`);
    return { kv, tokens: [] };
  }

  fork(from: Tracked, id: string): Tracked {
    const kv = from.kv.fork(id);
    holds(kv !== undefined, `there is room for a fork of ${from.kv.id}`);
    return { kv, tokens: [...from.tokens] };
  }

  /** Reserves, writes and advances. Resolves when the step is done; the lengths have grown when the call returns. */
  write(rows: readonly { readonly to: Tracked; readonly count: number }[]): Promise<void> {
    for (const { to, count } of rows)
      holds(to.kv.reserve(count) !== undefined, `there is room for ${count} more tokens of ${to.kv.id}`);
    const batch = this.cache.batch(rows.map(({ to, count }) => ({ sequence: to.kv, tokens: count })));
    for (const { to, count } of rows) for (let i = 0; i < count; i++) to.tokens.push(this.#written++);
    const step = this.run(
      batch,
      rows.flatMap(({ to, count }) => to.tokens.slice(to.tokens.length - count)),
    );
    batch.advance();
    return step;
  }

  /** Writes the rows of these tokens through the slots of a batch. */
  async run({ blockTable, lengths, slots, maxLength }: KvBatch, tokens: readonly number[]): Promise<void> {
    const { heads, headDim } = this.cache.shape;
    const data = Float32Array.from(tokens.flatMap((token) => this.#row(token)));
    const rows = { data, shape: [tokens.length, heads, headDim] };
    await this.#write.run([{ rows, blockTable, lengths, slots }], { symbols: { S: maxLength } });
  }

  /** Checks that reading through the block table of a step gives what each sequence must hold, in every layer. */
  async checkThroughBlockTable(sequences: readonly Tracked[]): Promise<void> {
    for (const one of sequences) holds(one.kv.reserve(1) !== undefined || this.#isFull(one), `${one.kv.id} can grow`);
    const growing = sequences.map((one) => ({ sequence: one.kv, tokens: this.#isFull(one) ? 0 : 1 }));
    const { blockTable, lengths, slots, maxLength } = this.cache.batch(growing);
    const N = blockTable.shape[1];
    const [entries, offsets]: [number[], number[]] = [[], []];
    sequences.forEach(({ tokens }, b) => {
      for (let position = 0; position < tokens.length; position++) {
        entries.push(b * N + Math.floor(position / this.cache.blockSize));
        offsets.push(position % this.cache.blockSize);
      }
    });
    if (entries.length === 0) return;
    const places = { entries: Int32Array.from(entries), offsets: Int32Array.from(offsets) };
    // Where all are full, a step has no row; the size of this input must not be 0, and nobody reads it.
    const unread = slots.length > 0 ? slots : Int32Array.of(0);
    const found = await this.#read.run([{ blockTable, lengths, slots: unread, ...places }], {
      symbols: { S: maxLength },
    });
    same(
      await found.lengths.data(),
      sequences.map(({ tokens }) => tokens.length),
      'lengths of a view',
    );
    const rows = sequences.flatMap(({ tokens }) => tokens.flatMap((token) => this.#row(token)));
    for (const [layer, { keys, values }] of found.layers.entries()) {
      const expected = rows.map((value) => value + layer * layerStep);
      same(await keys.data(), expected, `keys of layer ${layer}, read through the block table`);
      same(
        await values.data(),
        expected.map((value) => -value),
        `values of layer ${layer}, read through the block table`,
      );
    }
  }

  /** Checks that `range` gives what the sequence must hold, in every layer. */
  async checkRange({ kv, tokens }: Tracked, start = 0, end: number = tokens.length): Promise<void> {
    const host = await kv.range(start, end);
    const { dtype, layers } = this.cache.shape;
    const numbers = (part: Float32Array | Uint16Array | undefined) => {
      holds(dtype === 'f16' ? part instanceof Uint16Array : part instanceof Float32Array, `range: it gives ${dtype}`);
      return part instanceof Uint16Array ? f16ToF32(part) : part;
    };
    same([host.keys.length, host.values.length], [layers, layers], 'layers of a range');
    const rows = tokens.slice(start, end).flatMap((token) => this.#row(token));
    for (let layer = 0; layer < layers; layer++) {
      const expected = rows.map((value) => value + layer * layerStep);
      same(numbers(host.keys[layer]), expected, `keys of ${kv.id} [${start}, ${end}) in layer ${layer}`);
      same(
        numbers(host.values[layer]),
        expected.map((value) => -value),
        `values of ${kv.id} [${start}, ${end}) in layer ${layer}`,
      );
    }
  }

  dispose(): void {
    this.#write.dispose();
    this.#read.dispose();
  }

  #isFull({ tokens }: Tracked): boolean {
    return tokens.length === this.cache.maxSequenceTokens;
  }

  /** `[K, D]` of a token in the first layer: from 1 to 499. */
  #row(token: number): number[] {
    const { heads, headDim } = this.cache.shape;
    return Array.from({ length: heads * headDim }, (_, place) => 1 + ((token * 37 + place * 101) % 499));
  }
}
