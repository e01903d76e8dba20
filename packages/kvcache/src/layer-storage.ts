import type { KvView } from '@heddle/attention';
import { type Device, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import type { HostKv, KvInputs, KvShape, KvStep } from './kv-cache.ts';

/** The device memory of a cache: for each layer, keys and values of all slots. Knows nothing of sequences. */
export class LayerStorage {
  readonly #device: Device;
  readonly #keys: readonly Variable[];
  readonly #values: readonly Variable[];
  readonly #blockSize: number;
  readonly byteLength: number;

  constructor(device: Device, shape: KvShape, slots: number, blockSize: number) {
    this.#device = device;
    this.#blockSize = blockSize;
    const made: Variable[] = [];
    const make = (name: string) => (_: unknown, layer: number) => {
      const variable = device.zeroVariable([slots, shape.heads, shape.headDim], {
        dtype: shape.dtype,
        name: `${name} of layer ${layer}`,
        owner: 'kv cache',
      });
      made.push(variable);
      return variable;
    };
    try {
      this.#keys = Array.from({ length: shape.layers }, make('keys'));
      this.#values = Array.from({ length: shape.layers }, make('values'));
    } catch (error) {
      for (const variable of made) variable.dispose();
      throw error;
    }
    this.byteLength = made.reduce((sum, variable) => sum + variable.storage!.byteLength, 0);
  }

  bind({ blockTable, lengths, slots, maxLength }: KvInputs): KvStep {
    return {
      layer: (index): KvView => ({
        keys: this.#keys[index]!,
        values: this.#values[index]!,
        blockTable,
        lengths,
        blockSize: this.#blockSize,
        maxLength,
      }),
      write: (index, keys, values) => [
        writeRows(this.#keys[index]!, slots, keys),
        writeRows(this.#values[index]!, slots, values),
      ],
    };
  }

  /** Copies slots to other slots in every layer, after the work that is under way. */
  copy(from: Int32Array, to: Int32Array): Promise<void> {
    const [source, target] = [this.#device.tensor(from), this.#device.tensor(to)];
    const updates = [...this.#keys, ...this.#values].map((pool) => pool.scatter(target, take(pool, source)));
    return this.#device.realize([], updates).finally(() => {
      source.dispose();
      target.dispose();
    });
  }

  /** The values of slots, in their order. */
  async read(slots: Int32Array): Promise<HostKv> {
    const rows = this.#device.tensor(slots);
    try {
      const read = (pool: Variable) => take(pool, rows).data() as Promise<Float32Array | Uint16Array>;
      const [keys, values] = [await Promise.all(this.#keys.map(read)), await Promise.all(this.#values.map(read))];
      return { keys, values };
    } finally {
      rows.dispose();
    }
  }

  dispose(): void {
    for (const variable of [...this.#keys, ...this.#values]) variable.dispose();
  }
}

function writeRows(pool: Variable, slots: Tensor, rows: Tensor): Update {
  return pool.scatter(slots, rows.cast(pool.dtype));
}
