import type { Device } from '@heddle/tensor';
import {
  type CompiledFunction,
  compile,
  f16ToF32,
  type Tensor,
  take,
  takeAlongAxis,
  type Update,
} from '@heddle/tensor';
import type { KvBatch, KvCache, KvPrompt, KvSequence, KvStep } from '../kv-cache.ts';
import { isRows, isState, type KvStore, type RowsStore, type StateStore } from '../kv-shape.ts';
import { holds, same } from './contract.ts';
import { withOneRow } from './one-row.ts';
import { changeBy, type DeviceChanges, type StateChange, stateOf, statesOf, unchanged } from './state-content.ts';
import { contentAfter, contentOf, rowOf, rowsOf, type StorePlace } from './token-content.ts';

/** A sequence with what it must hold: ids of its tokens, and what stands for their keys and values. */
export interface Tracked {
  readonly kv: KvSequence;
  readonly namespace: string;
  readonly tokens: number[];
  readonly contents: number[];
}

type CacheInputs = Readonly<Record<string, Tensor>>;
interface WriteInputs {
  readonly cache: CacheInputs;
  readonly contents: Tensor;
  /** Where layers have states. */
  readonly changes?: DeviceChanges;
}
interface ReadInputs {
  readonly cache: CacheInputs;
  readonly segments: Tensor;
  readonly positions: Tensor;
}

/** Bound of the rows that are read at once. */
const maxReads = 256;

/** Uses a cache as an engine does, through compiled steps, with contents that tell tokens, layers, heads and places apart. */
export class CacheDriver {
  readonly device: Device;
  readonly cache: KvCache;
  /** Stores of rows. */
  readonly stores: readonly StorePlace<RowsStore>[];
  readonly states: readonly StorePlace<StateStore>[];
  readonly maxBatchTokens: number;
  readonly #write: CompiledFunction<[WriteInputs], { sum: Tensor; updates: Update[] }>;
  readonly #read: CompiledFunction<
    [ReadInputs],
    { lengths: Tensor; found: readonly Tensor[]; states: readonly Tensor[] }
  >;

  constructor(device: Device, cache: KvCache, maxBatchTokens: number) {
    this.device = device;
    this.cache = cache;
    this.maxBatchTokens = maxBatchTokens;
    const { layers } = cache.shape;
    const places: readonly StorePlace<KvStore>[] = layers
      .flatMap((layer, at) => Object.entries(layer).map(([name, store]) => ({ layer: at, name, store })))
      .map((place, index) => ({ ...place, index }));
    this.stores = places.filter((place): place is StorePlace<RowsStore> => isRows(place.store));
    this.states = places.filter((place): place is StorePlace<StateStore> => isState(place.store));
    const change = { shape: ['W'] };
    const changes = { of: { shape: ['W'], dtype: 'i32' as const }, factor: change, sum: change, count: change };
    const i32 = { dtype: 'i32' as const };
    const symbols = { ...cache.symbols, T: maxBatchTokens, R: maxReads };
    this.#write = compile(
      ({ cache: inputs, contents, changes }: WriteInputs) => {
        const kv = cache.bind(inputs);
        const updates = layers.flatMap((_, layer) => {
          const places = this.stores.filter((place) => place.layer === layer);
          const rows = places.map((place) => {
            const [heads, width] = place.store.shape;
            return [place.name, rowsOf(contents, device.arange(heads * width), place)] as const;
          });
          return [...kv.write(layer, Object.fromEntries(rows)), ...this.#saves(kv, layer, changes)];
        });
        return { sum: contents.sum(), updates };
      },
      {
        device,
        name: 'cache write',
        inputs: [{ cache: cache.inputs, contents: { shape: ['T'] }, ...(this.states.length > 0 && { changes }) }],
        symbols,
      },
    );
    this.#read = compile(
      ({ cache: inputs, segments, positions }: ReadInputs) => {
        const kv = cache.bind(inputs);
        const views = this.stores.map(({ layer, name }) => kv.rows(layer, name));
        const found = views.map(({ rows, blockTable, blockSize }) => {
          const column = positions.cast('f32').add(0.5).div(blockSize).floor().cast('i32');
          const [R] = positions.shape;
          const block = takeAlongAxis(take(blockTable, segments), column.reshape([R!, 1]), 1).reshape([R!]);
          return take(rows, block.mul(blockSize).add(positions.sub(column.mul(blockSize)))).cast('f32');
        });
        const states = this.states.map(({ layer, name }) => {
          const { pool, from } = kv.state(layer, name);
          return take(pool, from).cast('f32');
        });
        return { lengths: inputs['lengths']!.add(0), found, states };
      },
      {
        device,
        name: 'cache read',
        inputs: [{ cache: cache.inputs, segments: { shape: ['R'], ...i32 }, positions: { shape: ['R'], ...i32 } }],
        symbols,
      },
    );
  }

  open(id: string, prompt?: KvPrompt): Tracked {
    const kv = this.cache.sequence(id, prompt);
    holds(typeof kv !== 'string', `there is room for the sequence ${id}, got '${String(kv)}'`);
    return this.#tracked(kv, prompt?.namespace ?? '', Array.from(prompt?.tokens ?? []).slice(0, kv.length));
  }

  fork(from: Tracked, id: string, length?: number): Tracked {
    const kv = from.kv.fork(id, length);
    holds(typeof kv !== 'string', `there is room for a fork of ${from.kv.id}`);
    return this.#tracked(kv, from.namespace, from.tokens.slice(0, kv.length));
  }

  truncate(one: Tracked, length: number): void {
    const left = one.kv.truncate(length);
    holds(left <= length && left === one.kv.length, `truncate(${length}) says ${left}, and leaves ${one.kv.length}`);
    one.tokens.length = left;
    one.contents.length = left;
  }

  /**
   * Reserves, writes these tokens and advances; they are known when the step is done. Resolves then; the lengths have grown
   * when the call returns.
   */
  write(
    rows: readonly { readonly to: Tracked; readonly tokens: readonly number[]; readonly keep?: readonly number[] }[],
    know = true,
  ): Promise<void> {
    for (const { to, tokens } of rows)
      holds(to.kv.reserve(tokens.length), `there is room for ${tokens.length} more tokens of ${to.kv.id}`);
    const batch = this.cache.batch(
      rows.map(({ to, tokens, keep = [] }) => ({ sequence: to.kv, tokens: tokens.length, keep })),
    );
    const changes = rows.flatMap(({ to, tokens }, of) => changesOf(to, tokens).map((change) => ({ of, ...change })));
    for (const { to, tokens } of rows)
      for (const token of tokens) {
        to.contents.push(contentAfter(to.contents.at(-1) ?? contentOf(to.namespace), token));
        to.tokens.push(token);
      }
    const step = this.run(
      batch,
      rows.flatMap(({ to, tokens }) => to.contents.slice(to.contents.length - tokens.length)),
      changes,
    );
    batch.advance();
    step.catch(() => {}); // it counts where somebody awaits it, also after another rule was found broken
    // a sequence may be cut or closed before the step is done; what it had is told at once, as the device keeps the order
    if (know) for (const { to } of rows) to.kv.know(to.tokens.slice(to.kv.known));
    return step;
  }

  /** Writes rows of these contents where a batch says, and the states after what each row changes. */
  async run(
    { inputs, sizes, saves }: KvBatch,
    contents: readonly number[],
    changes: readonly (StateChange & { readonly of: number })[],
  ): Promise<void> {
    const saved = Array.from(saves, (row) => changes[row]!);
    const column = (name: keyof StateChange) => Float32Array.from(saved, (change) => change[name]);
    const fed = {
      cache: inputs,
      contents: Float32Array.from(contents),
      ...(this.states.length > 0 && {
        changes: {
          of: Int32Array.from(saved, ({ of }) => of),
          factor: column('factor'),
          sum: column('sum'),
          count: column('count'),
        },
      }),
    };
    const { sum } = await this.#write.run([fed], { symbols: sizes });
    sum.dispose(); // it is the caller's where the next step did not wait for this one
  }

  /** Checks that reading as layers do gives what each sequence must hold, in every store, as far as its window goes. */
  async check(sequences: readonly Tracked[]): Promise<void> {
    const { inputs, sizes } = this.cache.batch(sequences.map(({ kv }) => ({ sequence: kv, tokens: 0 })));
    const [segments, positions]: [number[], number[]] = [[], []];
    sequences.forEach(({ tokens }, b) => {
      for (let position = 0; position < tokens.length; position++) {
        segments.push(b);
        positions.push(position);
      }
    });
    if (segments.length === 0) return; // nothing has a state but zeros
    holds(segments.length <= maxReads, `the contract reads at most ${maxReads} tokens, got ${segments.length}`);
    const places = { segments: Int32Array.from(segments), positions: Int32Array.from(positions) };
    // No row is written; the size of these inputs must not be 0, and nobody reads them.
    const { lengths, found, states } = await this.#read.run([{ cache: withOneRow(inputs), ...places }], {
      symbols: sizes,
    });
    same(
      await lengths.data(),
      sequences.map(({ tokens }) => tokens.length),
      'lengths of a step',
    );
    for (const [i, place] of this.states.entries()) {
      const values = (await states[i]!.data()) as Float32Array;
      const size = values.length / sequences.length;
      for (const [b, one] of sequences.entries())
        same(
          values.subarray(b * size, (b + 1) * size),
          stateOf(changesOf(one, one.tokens).at(-1) ?? unchanged, place),
          `${place.name} of layer ${place.layer} after ${one.tokens.length} tokens of ${one.kv.id}`,
        );
    }
    for (const [i, place] of this.stores.entries()) {
      const rows = (await found[i]!.data()) as Float32Array;
      const [heads, width] = place.store.shape;
      segments.forEach((b, row) => {
        const { kv, tokens, contents } = sequences[b]!;
        const position = positions[row]!;
        if (!seen(place, position, tokens.length)) return;
        same(
          rows.subarray(row * heads * width, (row + 1) * heads * width),
          rowOf(contents[position]!, place),
          `${place.name} of layer ${place.layer}, token ${position} of ${tokens.length} of ${kv.id}`,
        );
      });
    }
  }

  /** Checks that `range` gives what the sequence must hold, in every store. */
  async checkRange({ kv, contents }: Tracked, start = 0, end: number = contents.length): Promise<void> {
    const layers = await kv.range(start, end);
    same(layers.length, this.cache.shape.layers.length, 'layers of a range');
    for (const place of this.stores) {
      const part = layers[place.layer]![place.name];
      const { dtype } = place.store;
      holds(dtype === 'f16' ? part instanceof Uint16Array : part instanceof Float32Array, `range: it gives ${dtype}`);
      same(
        part instanceof Uint16Array ? f16ToF32(part) : part,
        contents.slice(start, end).flatMap((content) => rowOf(content, place)),
        `${place.name} of layer ${place.layer}, range [${start}, ${end}) of ${kv.id}`,
      );
    }
  }

  /** Whether every store of rows keeps all tokens. */
  get keepsRows(): boolean {
    return this.stores.every(({ store }) => store.window === undefined);
  }
  /** Whether a sequence can go back to any length. */
  get keepsAll(): boolean {
    return this.keepsRows && this.states.length === 0;
  }

  dispose(): void {
    this.#write.dispose();
    this.#read.dispose();
  }

  #saves(kv: KvStep, layer: number, changes: DeviceChanges | undefined): readonly Update[] {
    const places = this.states.filter((place) => place.layer === layer);
    const states = places.map((place) => {
      const { pool, from } = kv.state(layer, place.name);
      const size = place.store.shape.reduce((product, length) => product * length, 1);
      return [place.name, statesOf(take(pool, from), changes!, this.device.arange(size).cast('f32'), place)] as const;
    });
    return kv.save(layer, Object.fromEntries(states));
  }

  #tracked(kv: KvSequence, namespace: string, tokens: number[]): Tracked {
    const contents: number[] = [];
    for (const token of tokens) contents.push(contentAfter(contents.at(-1) ?? contentOf(namespace), token));
    return { kv, namespace, tokens, contents };
  }
}

/** Whether the next token of a sequence of `length` tokens may read this one. */
function seen(
  { store: { window = Number.POSITIVE_INFINITY, keepFirst = 0 } }: StorePlace<RowsStore>,
  position: number,
  length: number,
) {
  return length - position < window || position < keepFirst;
}

/** What tokens of a sequence make of the state before them, up to each. */
function changesOf({ namespace }: Tracked, tokens: readonly number[]): StateChange[] {
  const changes: StateChange[] = [];
  for (const token of tokens) changes.push(changeBy(changes.at(-1) ?? unchanged, token, contentOf(namespace)));
  return changes;
}
