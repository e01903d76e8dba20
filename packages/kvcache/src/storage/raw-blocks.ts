import { type Device, type HostArray, take } from '@heddle/tensor';
import { bytesOfBlock, bytesOfValues, type Lane, lanesOf, type RawGroup, slotsOfBlocks } from './raw-layout.ts';
import { padded } from './store-pools.ts';

/** Blocks of device memory as bytes, bit by bit: what every store of a group holds of a block. */
export class RawBlocks {
  readonly #device: Device;
  readonly #groups: readonly RawGroup[];
  readonly #lanes: readonly (readonly Lane[])[];

  constructor(device: Device, groups: readonly RawGroup[]) {
    this.#device = device;
    this.#groups = groups;
    this.#lanes = groups.map(lanesOf);
  }

  /** Bytes of a block of a group. */
  byteLength(group: number): number {
    return bytesOfBlock(this.#lanes[group]!);
  }

  /** Of some blocks of a group, in their order, as the work that was submitted before the call leaves them. */
  async read(group: number, blocks: readonly number[]): Promise<Uint8Array[]> {
    const { parts } = this.#groups[group]!;
    const at = this.#device.tensor(padded(slotsOfBlocks(this.#groups[group]!, blocks)));
    const found = parts.map((part) => take(part, at));
    try {
      await this.#device.realize(found);
      const byteLength = this.byteLength(group);
      const read = blocks.map(() => new Uint8Array(byteLength));
      // one part after the other: steps that are submitted meanwhile wait for the copying of one, not of all
      for (const { dtype, start, parts: own } of this.#lanes[group]!)
        for (const { index, before, size } of own) {
          const bytes = bytesOf((await found[index]!.data()) as HostArray);
          found[index]!.dispose();
          const [length, place] = [bytesOfValues(dtype, size), start + bytesOfValues(dtype, before)];
          for (const [i, block] of read.entries()) block.set(bytes.subarray(i * length, (i + 1) * length), place);
        }
      return read;
    } finally {
      for (const tensor of [at, ...found]) tensor.dispose();
    }
  }
}

const bytesOf = (data: HostArray): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
