import { getOrMake } from '../get-or-make.ts';
import type { Allocation, BufferPool, DeviceBuffer } from './buffers.ts';

/** Buffers of a program for one input or output: one for each size that its buckets ask for. */
export class OwnBuffers {
  readonly #pool: BufferPool;
  readonly #owner: string;
  readonly #bySize = new Map<number, Allocation>();

  constructor(pool: BufferPool, owner: string) {
    this.#pool = pool;
    this.#owner = owner;
  }

  /** @throws OutOfMemoryError before anything is allocated */
  ofSize(byteLength: number): DeviceBuffer {
    return getOrMake(this.#bySize, byteLength, () => this.#pool.allocate(byteLength, this.#owner)).buffer;
  }

  /** Bytes that a buffer of this size would newly take. */
  missing(byteLength: number): number {
    return this.#bySize.has(byteLength) ? 0 : byteLength;
  }

  has(buffer: DeviceBuffer): boolean {
    return this.#bySize.get(buffer.byteLength)?.buffer === buffer;
  }

  dispose(): void {
    for (const { release } of this.#bySize.values()) release();
    this.#bySize.clear();
  }
}
