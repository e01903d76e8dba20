import { OutOfMemoryError } from '../../../checks/errors.ts';
import type { MemoryAccount } from '../../../report/memory.ts';
import { getOrMake } from '../get-or-make.ts';
import { bufferUsage } from '../gpu-flags.ts';

/** A GPU buffer with a number, by which bind groups of it are found again. */
export interface DeviceBuffer {
  readonly id: number;
  readonly gpu: GPUBuffer;
  readonly byteLength: number;
  /** Where in the GPU buffer it begins; at 0 where nothing is said. */
  readonly offset?: number;
}

/** A buffer in use. */
export interface Allocation {
  readonly buffer: DeviceBuffer;
  /** Whether it holds what was in it before, and not zeros. */
  readonly used: boolean;
  /** Gives the buffer back. Idempotent. */
  release(): void;
}

/** Free buffers are kept for the next of their size up to this many bytes. */
const keptBytes = 1 << 28;

/** Makes, counts, keeps and destroys the storage buffers of a device. */
export class BufferPool {
  readonly #device: GPUDevice;
  readonly #account: MemoryAccount;
  readonly #free = new Map<number, DeviceBuffer[]>();
  #pooled = 0;
  #count = 0;
  readonly #made = new Set<GPUBuffer>();
  #disposed = false;

  readonly #beforeDestroying: () => void;

  /** @param beforeDestroying sends what was recorded and may use the buffer that is about to be destroyed */
  constructor(device: GPUDevice, account: MemoryAccount, beforeDestroying: () => void) {
    this.#device = device;
    this.#account = account;
    this.#beforeDestroying = beforeDestroying;
  }

  /** Bytes of free buffers. */
  get pooled(): number {
    return this.#pooled;
  }

  /**
   * @param inParts whether kernels may bind it in parts, as they do with all but blocks of weights
   * @throws OutOfMemoryError where no buffer can be as large, before anything is allocated
   */
  check(byteLength: number, owner: string, inParts = true): void {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.#device.limits;
    const most = inParts ? maxBufferSize : Math.min(maxBufferSize, maxStorageBufferBindingSize);
    if (byteLength > most)
      throw new OutOfMemoryError(
        `memory: ${owner} asked for a buffer of ${byteLength} bytes; this device's largest is ${most}`,
        { requested: byteLength, budget: most },
      );
  }

  /** A storage buffer of `byteLength` bytes. @throws OutOfMemoryError before anything is allocated */
  allocate(byteLength: number, owner: string): Allocation {
    this.check(byteLength, owner);
    const kept = this.#free.get(byteLength)?.pop();
    if (kept) this.#pooled -= byteLength;
    let giveBack: () => void;
    try {
      giveBack = this.take(byteLength, owner);
    } catch (refusal) {
      if (kept) this.#keep(kept);
      throw refusal;
    }
    const buffer = kept ?? this.create(byteLength);
    let released = false;
    return {
      buffer,
      used: kept !== undefined,
      release: () => {
        if (released) return;
        released = true;
        giveBack();
        this.#keep(buffer);
      },
    };
  }

  /** Counts bytes for `owner`; free buffers go first where the budget is short. */
  take(byteLength: number, owner: string): () => void {
    if (!this.#account.fits(byteLength + this.#pooled)) this.clear();
    return this.#account.take(byteLength, owner);
  }

  /** Counts nothing. @throws OutOfMemoryError where the budget has no room for so much more */
  require(byteLength: number, owner: string, what: string): void {
    if (!this.#account.fits(byteLength + this.#pooled)) this.clear();
    this.#account.require(byteLength, owner, what);
  }

  /** A new buffer, uncounted. */
  create(byteLength: number): DeviceBuffer {
    const usage = bufferUsage.storage | bufferUsage.copySource | bufferUsage.copyDestination;
    return { id: ++this.#count, gpu: this.make(byteLength, usage), byteLength };
  }

  /** A GPU buffer that goes with the pool if `destroy` was not called before. */
  make(size: number, usage: number): GPUBuffer {
    const gpu = this.#device.createBuffer({ size, usage });
    this.#made.add(gpu);
    return gpu;
  }

  destroy(gpu: GPUBuffer): void {
    this.#beforeDestroying();
    gpu.destroy();
    this.#made.delete(gpu);
  }

  /** Destroys every buffer, those in use too: on a device of the caller nothing else would. */
  dispose(): void {
    this.clear();
    for (const gpu of this.#made) gpu.destroy();
    this.#made.clear();
    this.#disposed = true;
  }

  /** Destroys the free buffers. */
  clear(): void {
    for (const buffers of this.#free.values()) for (const { gpu } of buffers) this.destroy(gpu);
    this.#free.clear();
    this.#pooled = 0;
  }

  #keep(buffer: DeviceBuffer): void {
    const { byteLength } = buffer;
    if (this.#disposed) return;
    if (this.#pooled + byteLength > keptBytes) {
      this.destroy(buffer.gpu);
      return;
    }
    getOrMake(this.#free, byteLength, (): DeviceBuffer[] => []).push(buffer);
    this.#pooled += byteLength;
  }
}
