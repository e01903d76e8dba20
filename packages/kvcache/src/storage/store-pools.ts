import type { KvView } from '@heddle/attention';
import { ArgumentError, type Device, type Dim, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import type { HostKv, KvStep, RowsView } from '../kv-cache.ts';
import { isRows, type KvShape, type KvStore, storeBytes } from '../kv-shape.ts';

/** One store's device memory: rows of all slots of its group. */
interface Pool {
  readonly layer: number;
  readonly name: string;
  readonly group: number;
  readonly variable: Variable;
}

/** Tensors of a step, by group where they differ. */
export interface StepTensors {
  readonly lengths: Tensor;
  readonly blockTables: readonly Tensor[];
  readonly slots: readonly Tensor[];
  readonly maxLength: Dim;
}

/** The device memory of rows: for each store of each layer, a variable of all slots. Knows nothing of sequences. */
export class StorePools {
  readonly #device: Device;
  readonly #pools: readonly Pool[];
  readonly #layers: readonly ReadonlyMap<string, Pool>[];
  readonly #blockSize: number;
  readonly byteLength: number;

  /**
   * @param groupOf which group a store belongs to
   * @param slots of each group
   */
  constructor(
    device: Device,
    shape: KvShape,
    groupOf: (store: KvStore) => number,
    slots: readonly number[],
    blockSize: number,
  ) {
    this.#device = device;
    this.#blockSize = blockSize;
    const pools: Pool[] = [];
    try {
      this.#layers = shape.layers.map((stores, layer) => {
        const byName = new Map<string, Pool>();
        for (const [name, store] of Object.entries(stores)) {
          if (!isRows(store)) continue;
          const group = groupOf(store);
          const options = { dtype: store.dtype, name: `${name} of layer ${layer}`, owner: 'kv cache' };
          const variable = device.zeroVariable([slots[group]!, ...store.shape], options);
          const pool = { layer, name, group, variable };
          pools.push(pool);
          byName.set(name, pool);
        }
        return byName;
      });
    } catch (error) {
      for (const { variable } of pools) variable.dispose();
      throw error;
    }
    this.#pools = pools;
    this.byteLength = pools.reduce((sum, { variable }) => sum + variable.storage!.byteLength, 0);
  }

  bind({ lengths, blockTables, slots, maxLength }: StepTensors): Pick<KvStep, 'layer' | 'rows' | 'write'> {
    const pool = (index: number, name: string): Pool => {
      const found = this.#layers[index]?.get(name);
      if (found) return found;
      const has = [...(this.#layers[index]?.keys() ?? [])].join(', ');
      throw new ArgumentError(
        `cache: layer ${index} of ${this.#layers.length} has ${has || 'no rows'}, there is no ${name}`,
      );
    };
    const rows = (index: number, name: string): RowsView => {
      const { variable, group } = pool(index, name);
      return { rows: variable, blockTable: blockTables[group]!, lengths, blockSize: this.#blockSize };
    };
    return {
      rows,
      layer: (index): KvView => {
        const { rows: keys, ...view } = rows(index, 'keys');
        return { keys, values: pool(index, 'values').variable, ...view, maxLength };
      },
      write: (index, written): readonly Update[] => {
        const stores = this.#layers[index] ?? new Map<string, Pool>();
        for (const name of stores.keys())
          if (!written[name]) throw new ArgumentError(`write: layer ${index} must write ${name}, and it is missing`);
        return Object.entries(written).map(([name, value]) => {
          const { variable, group } = pool(index, name);
          return variable.scatter(slots[group]!, value.cast(variable.dtype));
        });
      },
    };
  }

  /** Copies slots of a group to other slots in every store, after the work that was submitted before the call. */
  copy(group: number, from: Int32Array, to: Int32Array): Promise<void> {
    const [source, target] = [this.#device.tensor(padded(from)), this.#device.tensor(padded(to))];
    const updates = this.#pools
      .filter((pool) => pool.group === group)
      .map(({ variable }) => variable.scatter(target, take(variable, source)));
    return this.#device.realize([], updates).finally(() => {
      source.dispose();
      target.dispose();
    });
  }

  /** Rows of slots (of each group), in their order, as the work that was submitted before the call leaves them. */
  async read(slots: readonly Int32Array[]): Promise<HostKv> {
    const rows = slots.map((group) => this.#device.tensor(padded(group)));
    const found = this.#pools.map(({ variable, group }) => take(variable, rows[group]!));
    try {
      // all in one run: no step in between can change what later ones give
      await this.#device.realize(found);
      const parts = await Promise.all(found.map((tensor) => tensor.data() as Promise<Float32Array | Uint16Array>));
      const layers: Record<string, Float32Array | Uint16Array>[] = this.#layers.map(() => ({}));
      for (const [i, { layer, name, group, variable }] of this.#pools.entries()) {
        const [, heads, width] = variable.shape as [number, number, number];
        layers[layer]![name] = parts[i]!.slice(0, slots[group]!.length * heads * width);
      }
      return layers;
    } finally {
      for (const tensor of [...rows, ...found]) tensor.dispose();
    }
  }

  dispose(): void {
    for (const { variable } of this.#pools) variable.dispose();
  }
}

/** Bytes of a block, or a state, of each group. */
export function blockBytes(shape: KvShape, groupOf: (store: KvStore) => number, blockSize: number): number[] {
  const bytes: number[] = [];
  for (const layer of shape.layers)
    for (const store of Object.values(layer)) {
      const group = groupOf(store);
      bytes[group] = (bytes[group] ?? 0) + storeBytes(store) * (isRows(store) ? blockSize : 1);
    }
  return bytes;
}

/** The last slot again up to a power of two: the device keeps a program for each length, and these are few. */
function padded(slots: Int32Array): Int32Array {
  const rows = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, slots.length)))).fill(slots.at(-1) ?? 0);
  rows.set(slots);
  return rows;
}
