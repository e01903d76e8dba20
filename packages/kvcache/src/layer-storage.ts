import type { KvView } from '@heddle/attention';
import { type Device, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import type { HostKv, KvInputs, KvShape, KvStep } from './kv-cache.ts';

/** The device memory of a cache: for each layer, keys and values of all slots. Knows nothing of sequences. */
export class LayerStorage {
  readonly #device: Device;
  readonly #keys: readonly Variable[];
  readonly #values: readonly Variable[];
  readonly #blockSize: number;
  /** Values of a slot, in one layer's keys or values. */
  readonly #rowSize: number;
  readonly byteLength: number;

  constructor(device: Device, shape: KvShape, slots: number, blockSize: number) {
    this.#device = device;
    this.#blockSize = blockSize;
    this.#rowSize = shape.heads * shape.headDim;
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

  /** Keys, then values, of all layers. */
  get #pools(): readonly Variable[] {
    return [...this.#keys, ...this.#values];
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

  /** Copies slots to other slots in every layer, after the work that was submitted before the call. */
  copy(from: Int32Array, to: Int32Array): Promise<void> {
    const [source, target] = [this.#device.tensor(padded(from)), this.#device.tensor(padded(to))];
    const updates = this.#pools.map((pool) => pool.scatter(target, take(pool, source)));
    return this.#device.realize([], updates).finally(() => {
      source.dispose();
      target.dispose();
    });
  }

  /** The values of slots, in their order, as the work that was submitted before the call leaves them. */
  async read(slots: Int32Array): Promise<HostKv> {
    const rows = this.#device.tensor(padded(slots));
    const found = this.#pools.map((pool) => take(pool, rows));
    try {
      // all layers in one run: no step in between can change what later ones give
      await this.#device.realize(found);
      const size = slots.length * this.#rowSize;
      const values = await Promise.all(
        found.map(async (tensor) => ((await tensor.data()) as Float32Array | Uint16Array).slice(0, size)),
      );
      const layers = this.#keys.length;
      return { keys: values.slice(0, layers), values: values.slice(layers) };
    } finally {
      for (const tensor of [rows, ...found]) tensor.dispose();
    }
  }

  dispose(): void {
    for (const pool of this.#pools) pool.dispose();
  }
}

function writeRows(pool: Variable, slots: Tensor, rows: Tensor): Update {
  return pool.scatter(slots, rows.cast(pool.dtype));
}

/** The last slot again up to a power of two: the device keeps a program for each length, and these are few. */
function padded(slots: Int32Array): Int32Array {
  const rows = new Int32Array(2 ** Math.ceil(Math.log2(Math.max(1, slots.length)))).fill(slots.at(-1) ?? 0);
  rows.set(slots);
  return rows;
}
