import type { BufferPool, DeviceBuffer } from './buffers.ts';
import { bufferUsage, mapModeRead } from './gpu-flags.ts';
import type { DeviceHealth } from './health.ts';

/** Staging buffers that are kept for the next read. */
const keptBytes = 1 << 26;

/**
 * Copies of buffers to the host. Staging buffers are kept and used again, so that reading in every step creates nothing;
 * several reads may be under way.
 */
export class Readback {
  readonly #device: GPUDevice;
  readonly #pool: BufferPool;
  readonly #health: DeviceHealth;
  readonly #idle: { readonly gpu: GPUBuffer; readonly byteLength: number; readonly release: () => void }[] = [];
  #idleBytes = 0;

  constructor(device: GPUDevice, pool: BufferPool, health: DeviceHealth) {
    this.#device = device;
    this.#pool = pool;
    this.#health = health;
  }

  /** The first `byteLength` bytes of a buffer as they are after everything that was submitted. */
  async read(buffer: DeviceBuffer, byteLength: number): Promise<ArrayBuffer> {
    if (byteLength === 0) return new ArrayBuffer(0);
    const copied = Math.ceil(byteLength / 4) * 4;
    const staging = this.#take(copied);
    try {
      const encoder = this.#device.createCommandEncoder();
      encoder.copyBufferToBuffer(buffer.gpu, 0, staging.gpu, 0, copied);
      this.#device.queue.submit([encoder.finish()]);
      await this.#health.orFailure(staging.gpu.mapAsync(mapModeRead, 0, copied));
      const bytes = staging.gpu.getMappedRange(0, copied).slice(0);
      staging.gpu.unmap();
      this.#give(staging);
      return bytes;
    } catch (cause) {
      staging.gpu.destroy();
      staging.release();
      throw cause;
    }
  }

  /** Destroys the idle staging buffers. */
  dispose(): void {
    for (const { gpu, release } of this.#idle) {
      gpu.destroy();
      release();
    }
    this.#idle.length = 0;
    this.#idleBytes = 0;
  }

  #take(byteLength: number) {
    const size = Math.max(256, 2 ** Math.ceil(Math.log2(byteLength)));
    const at = this.#idle.findIndex((staging) => staging.byteLength === size);
    if (at >= 0) {
      this.#idleBytes -= size;
      return this.#idle.splice(at, 1)[0]!;
    }
    const release = this.#pool.take(size, 'readback');
    const usage = bufferUsage.mapRead | bufferUsage.copyDestination;
    return { gpu: this.#device.createBuffer({ size, usage }), byteLength: size, release };
  }

  #give(staging: { readonly gpu: GPUBuffer; readonly byteLength: number; readonly release: () => void }): void {
    if (this.#idleBytes + staging.byteLength > keptBytes) {
      staging.gpu.destroy();
      staging.release();
      return;
    }
    this.#idleBytes += staging.byteLength;
    this.#idle.push(staging);
  }
}
