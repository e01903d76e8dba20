import { type Device, type DType, type HostArray, type Tensor, take, type Update, type Variable } from '@heddle/tensor';
import { padded } from './store-pools.ts';

/** Where the blocks of a group lie. */
export interface RawGroup {
  /** What its stores are kept in, by slot. */
  readonly parts: readonly Variable[];
  /** Slots of a block. */
  readonly slots: number;
  /** Slots before the first block. */
  readonly offset: number;
}

/** Writes parts of some slots: effects. */
export type LoadParts = (group: number, slots: Tensor, parts: readonly Tensor[]) => readonly Update[];

/** Blocks of device memory as bytes, bit by bit: what every store of a group holds of a block, one after the other. */
export class RawBlocks {
  readonly #device: Device;
  readonly #groups: readonly RawGroup[];

  constructor(device: Device, groups: readonly RawGroup[]) {
    this.#device = device;
    this.#groups = groups;
  }

  /** Bytes of a block of a group. */
  byteLength(group: number): number {
    const { parts, slots } = this.#groups[group]!;
    return parts.reduce((sum, part) => sum + slots * slotBytes(part), 0);
  }

  /** Of some blocks of a group, in their order, as the work that was submitted before the call leaves them. */
  async read(group: number, blocks: readonly number[]): Promise<Uint8Array[]> {
    const { parts, slots } = this.#groups[group]!;
    const at = this.#device.tensor(padded(this.#slotsOf(group, blocks)));
    const found = parts.map((part) => take(part, at));
    try {
      await this.#device.realize(found);
      const byteLength = this.byteLength(group);
      const read = blocks.map(() => new Uint8Array(byteLength));
      let start = 0;
      // each part as it comes, so that no turn of the host takes long
      await Promise.all(
        found.map(async (tensor, p) => {
          const size = slots * slotBytes(parts[p]!);
          const place = start;
          start += size;
          const bytes = bytesOf((await tensor.data()) as HostArray);
          for (const [i, block] of read.entries()) block.set(bytes.subarray(i * size, (i + 1) * size), place);
        }),
      );
      return read;
    } finally {
      for (const tensor of [at, ...found]) tensor.dispose();
    }
  }

  /**
   * Writes to blocks of a group what `read` gave, of these pools or of others that `load` reads.
   * @param source where the bytes come from
   */
  async write(
    group: number,
    blocks: readonly number[],
    bytes: readonly Uint8Array[],
    source: RawBlocks,
    load: LoadParts,
  ): Promise<void> {
    const { parts, slots } = source.#groups[group]!;
    const at = this.#device.tensor(padded(this.#slotsOf(group, blocks)));
    const count = at.shape[0] as number;
    const made: Tensor[] = [at];
    try {
      let start = 0;
      // tensors copy what they are made of, so one array does for all parts: fresh memory costs more than the copies
      const memory = new ArrayBuffer(count * Math.max(...parts.map(slotBytes)));
      const loaded = parts.map((part) => {
        const slot = slotBytes(part);
        const size = slots * slot;
        const all = new Uint8Array(memory, 0, count * slot);
        for (const [i, block] of bytes.entries()) all.set(block.subarray(start, start + size), i * size);
        // the last slot stands for those that are added, and so does its content
        for (let end = blocks.length * size; end < all.length; end += slot) all.copyWithin(end, end - slot, end);
        start += size;
        const shape = [count, ...(part.shape.slice(1) as number[])];
        const tensor = this.#device.tensor(valuesIn(memory, part.dtype, all.length), { shape, dtype: part.dtype });
        made.push(tensor);
        return tensor;
      });
      await this.#device.realize([], load(group, at, loaded));
    } finally {
      for (const tensor of made) tensor.dispose();
    }
  }

  #slotsOf(group: number, blocks: readonly number[]): Int32Array {
    const { slots, offset } = this.#groups[group]!;
    return Int32Array.from(
      { length: blocks.length * slots },
      (_, i) => offset + blocks[Math.floor(i / slots)]! * slots + (i % slots),
    );
  }
}

const elementBytes = { f32: 4, u32: 4, f16: 2 } as const;

function slotBytes({ shape, dtype }: Variable): number {
  const sizes = shape.slice(1) as number[];
  return sizes.reduce((product, size) => product * size, elementBytes[dtype as keyof typeof elementBytes]);
}

const bytesOf = (data: HostArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

const arrays = { f32: Float32Array, u32: Uint32Array, f16: Uint16Array } as const;

/** The values of a dtype in the first bytes of some memory. */
function valuesIn(memory: ArrayBuffer, dtype: DType, byteLength: number): HostArray {
  const kind = dtype as keyof typeof arrays;
  return new arrays[kind](memory, 0, byteLength / elementBytes[kind]);
}
