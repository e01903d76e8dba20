import type { KvView } from '@heddle/attention';
import { ArgumentError, type Device, type Dim, type Tensor, type Update, type Variable } from '@heddle/tensor';
import type { HostKv, KvStep, RowsView } from '../kv-cache.ts';
import { type FormatOf, isRows, type KvShape, type KvStore, rowBytes, storeBytes } from '../kv-shape.ts';
import { openStorePool, type StorePool } from './store-pool.ts';

/** Tensors of a step, by group where they differ. */
export interface StepTensors {
  readonly lengths: Tensor;
  readonly blockTables: readonly Tensor[];
  readonly slots: readonly Tensor[];
  /** Where tokens between those that are there were dropped: the position of the token in each slot. */
  readonly keyPositions: Tensor | undefined;
  readonly maxLength: Dim;
}

/** The device memory of rows: for each store of each layer, a variable of all slots. Knows nothing of sequences. */
export class StorePools {
  readonly #device: Device;
  readonly #pools: readonly StorePool[];
  readonly #layers: readonly ReadonlyMap<string, StorePool>[];
  readonly #blockSize: number;
  readonly byteLength: number;

  /**
   * @param groupOf which group a store belongs to
   * @param slots of each group
   * @param formatOf in what format a store is kept other than its own
   */
  constructor(
    device: Device,
    shape: KvShape,
    groupOf: (store: KvStore) => number,
    slots: readonly number[],
    blockSize: number,
    formatOf: FormatOf = () => undefined,
  ) {
    this.#device = device;
    this.#blockSize = blockSize;
    const pools: StorePool[] = [];
    try {
      this.#layers = shape.layers.map((stores, layer) => {
        const byName = new Map<string, StorePool>();
        for (const [name, store] of Object.entries(stores)) {
          if (!isRows(store)) continue;
          const group = groupOf(store);
          const pool = openStorePool(
            device,
            { layer, name, store, group },
            slots[group]!,
            formatOf(store, name, layer),
          );
          pools.push(pool);
          byName.set(name, pool);
        }
        return byName;
      });
    } catch (error) {
      for (const pool of pools) pool.dispose();
      throw error;
    }
    this.#pools = pools;
    this.byteLength = pools.reduce((sum, { byteLength }) => sum + byteLength, 0);
  }

  bind({
    lengths,
    blockTables,
    slots,
    keyPositions,
    maxLength,
  }: StepTensors): Pick<KvStep, 'layer' | 'rows' | 'write'> {
    const pool = (index: number, name: string): StorePool => {
      const found = this.#layers[index]?.get(name);
      if (found) return found;
      const has = [...(this.#layers[index]?.keys() ?? [])].join(', ');
      throw new ArgumentError(
        `cache: layer ${index} of ${this.#layers.length} has ${has || 'no rows'}, there is no ${name}`,
      );
    };
    const at = (group: number) => ({ blockTable: blockTables[group]!, lengths, blockSize: this.#blockSize });
    return {
      rows: (index, name): RowsView => {
        const found = pool(index, name);
        return { rows: found.rows(), ...at(found.group) };
      },
      layer: (index): KvView => {
        const stores = this.#layers[index];
        const keys = pool(index, stores?.has('latent') ? 'latent' : 'keys');
        const values = stores?.get('values');
        const view = { ...at(keys.group), maxLength, ...(keyPositions && { keyPositions }) };
        const { valueDim } = keys.store;
        if (!values) return { keys: keys.rows(), ...(valueDim !== undefined && { valueDim }), ...view };
        const [k, v] = [keys.quantized, values.quantized];
        if (!k || !v || k.bits !== v.bits || k.rotated !== v.rotated)
          return { keys: keys.rows(), values: values.rows(), ...view };
        const quantized = { bits: k.bits, keyScales: k.scales, valueScales: v.scales };
        return { keys: k.words, values: v.words, quantized, ...(k.rotated && { rotated: true }), ...view };
      },
      write: (index, written): readonly Update[] => {
        const stores = this.#layers[index] ?? new Map<string, StorePool>();
        for (const name of stores.keys())
          if (!written[name]) throw new ArgumentError(`write: layer ${index} must write ${name}, and it is missing`);
        return Object.entries(written).flatMap(([name, value]) => {
          const found = pool(index, name);
          return found.write(slots[found.group]!, value);
        });
      },
    };
  }

  /** Copies slots of a group to other slots in every store, after the work that was submitted before the call. */
  async copy(group: number, from: Int32Array, to: Int32Array): Promise<void> {
    const [source, target] = [this.#device.tensor(padded(from)), this.#device.tensor(padded(to))];
    const updates = this.#pools.filter((pool) => pool.group === group).flatMap((pool) => pool.copy(source, target));
    try {
      await this.#device.realize([], updates);
    } finally {
      source.dispose();
      target.dispose();
    }
  }

  /** Writes what slots of other pools of the same stores hold, after the work that was submitted before the call. */
  async copyFrom(source: StorePools, from: Int32Array, to: Int32Array, group: number = 0): Promise<void> {
    const [first, second] = [this.#device.tensor(padded(from)), this.#device.tensor(padded(to))];
    const updates = this.#pools.flatMap((pool, i) =>
      pool.group === group ? pool.write(second, source.#pools[i]!.take(first)) : [],
    );
    try {
      await this.#device.realize([], updates);
    } finally {
      first.dispose();
      second.dispose();
    }
  }

  /** Rows of slots (of each group), in their order, as the work that was submitted before the call leaves them. */
  async read(slots: readonly Int32Array[]): Promise<HostKv> {
    const rows = slots.map((group) => this.#device.tensor(padded(group)));
    const found = this.#pools.map((pool) => pool.take(rows[pool.group]!));
    try {
      // all in one run: no step in between can change what later ones give
      await this.#device.realize(found);
      const parts = await Promise.all(found.map((tensor) => tensor.data() as Promise<Float32Array | Uint16Array>));
      const layers: Record<string, Float32Array | Uint16Array>[] = this.#layers.map(() => ({}));
      for (const [i, { layer, name, group, store }] of this.#pools.entries()) {
        const [heads, width] = store.shape;
        layers[layer]![name] = parts[i]!.slice(0, slots[group]!.length * heads * width);
      }
      return layers;
    } finally {
      for (const tensor of [...rows, ...found]) tensor.dispose();
    }
  }

  /** Writes rows of one store; negative slots are passed over. */
  writeRows(layer: number, name: string, slots: Tensor, rows: Tensor): readonly Update[] {
    return this.#layers[layer]!.get(name)!.write(slots, rows);
  }
  /** What the stores of a group are kept in, in their order. */
  parts(group: number): readonly Variable[] {
    return this.#pools.filter((pool) => pool.group === group).flatMap(({ parts }) => parts);
  }
  /** Writes to slots of a group what the parts of `source`, other pools of the same stores, hold for them. */
  load(group: number, slots: Tensor, parts: readonly Tensor[], source: StorePools): readonly Update[] {
    let at = 0;
    return this.#pools.flatMap((pool, i) => {
      if (pool.group !== group) return [];
      const from = source.#pools[i]!;
      const own = parts.slice(at, at + from.parts.length);
      at += from.parts.length;
      if (source !== this) return pool.write(slots, from.decode(own));
      return pool.parts.map((part, j) => part.scatter(slots, own[j]!));
    });
  }

  dispose(): void {
    for (const pool of this.#pools) pool.dispose();
  }
}

/** Bytes of a block, or a state, of each group. */
export function blockBytes(
  shape: KvShape,
  groupOf: (store: KvStore) => number,
  blockSize: number,
  formatOf: FormatOf = () => undefined,
): number[] {
  const bytes: number[] = [];
  for (const [index, layer] of shape.layers.entries())
    for (const [name, store] of Object.entries(layer)) {
      const group = groupOf(store);
      const each = isRows(store) ? rowBytes(store, formatOf(store, name, index)) * blockSize : storeBytes(store);
      bytes[group] = (bytes[group] ?? 0) + each;
    }
  return bytes;
}

/** The last slot again up to a power of two: the device keeps a program for each length, and these are few. */
export function padded(slots: Int32Array): Int32Array {
  const rows = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, slots.length)))).fill(slots.at(-1) ?? 0);
  rows.set(slots);
  return rows;
}
