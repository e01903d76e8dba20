import type { HostArray } from '../../../dtype.ts';
import type { Allocation, BufferPool, DeviceBuffer } from './buffers.ts';

/** Inputs up to so many bytes go over together; larger ones are written from where they are. */
const largest = 1 << 16;
/** Parts of a buffer are bound at multiples of this many bytes. */
const alignment = 256;

/** Where each input that goes along begins, and the bytes of all. */
function layOut(byteLengths: readonly (number | undefined)[]) {
  let total = 0;
  const offsets = byteLengths.map((byteLength) => {
    if (byteLength === undefined || byteLength > largest) return undefined;
    const offset = total;
    total += Math.ceil(byteLength / alignment) * alignment;
    return offset;
  });
  return { total, offsets };
}

/** Bytes that `Uploads` for inputs of these sizes takes; those without a size do not go along. */
export function uploadBytes(byteLengths: readonly (number | undefined)[]): number {
  return layOut(byteLengths).total;
}

/** The small host inputs of a plan, side by side in one buffer, so that a run brings them all over by one write. */
export class Uploads {
  readonly #allocation: Allocation | undefined;
  readonly #slots: readonly (DeviceBuffer | undefined)[];
  readonly #bytes: Uint8Array<ArrayBuffer>;
  #used = 0;

  /** @throws OutOfMemoryError before anything is allocated */
  constructor(pool: BufferPool, owner: string, byteLengths: readonly (number | undefined)[]) {
    const { total, offsets } = layOut(byteLengths);
    this.#allocation = total > 0 ? pool.allocate(total, owner) : undefined;
    this.#bytes = new Uint8Array(total);
    this.#slots = offsets.map((offset, i) =>
      offset === undefined ? undefined : { ...this.#allocation!.buffer, byteLength: byteLengths[i]!, offset },
    );
  }

  /** Where input `index` is after `send`; undefined where it is too large to go along. */
  slotOf(index: number): DeviceBuffer | undefined {
    return this.#slots[index];
  }

  /** Where input `index` will be after `send`; undefined where it is too large to go along. */
  put(index: number, data: HostArray): DeviceBuffer | undefined {
    const slot = this.#slots[index];
    if (!slot) return undefined;
    this.#bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), slot.offset);
    this.#used = Math.max(this.#used, slot.offset! + Math.ceil(data.byteLength / 4) * 4);
    return slot;
  }

  /** Brings over what was put since the last time. */
  send(queue: GPUQueue): void {
    if (this.#used > 0) queue.writeBuffer(this.#allocation!.buffer.gpu, 0, this.#bytes, 0, this.#used);
    this.#used = 0;
  }

  dispose(): void {
    this.#allocation?.release();
  }
}
