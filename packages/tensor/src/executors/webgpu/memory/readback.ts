import { bufferUsage, mapModeRead } from '../gpu-flags.ts';
import type { DeviceHealth } from '../health.ts';
import type { BufferPool, DeviceBuffer } from './buffers.ts';

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
  readonly #idle: { readonly gpu: GPUBuffer; readonly byteLength: number }[] = [];
  #pooled = 0;

  constructor(device: GPUDevice, pool: BufferPool, health: DeviceHealth) {
    this.#device = device;
    this.#pool = pool;
    this.#health = health;
  }

  /** Bytes of idle staging buffers. */
  get pooled(): number {
    return this.#pooled;
  }

  /** The first `byteLength` bytes of a buffer as they are after everything that was submitted. */
  async read(buffer: DeviceBuffer, byteLength: number): Promise<ArrayBuffer> {
    if (byteLength === 0) return new ArrayBuffer(0);
    const copied = Math.ceil(byteLength / 4) * 4;
    const size = Math.max(256, 2 ** Math.ceil(Math.log2(copied)));
    const release = this.#pool.take(size, 'readback');
    const staging = this.#take(size);
    try {
      this.#health.recorder.copies.copyBufferToBuffer(buffer.gpu, 0, staging.gpu, 0, copied);
      this.#health.submit();
      this.#health.flush(); // a buffer that is being mapped cannot be written
      await this.#health.orFailure(staging.gpu.mapAsync(mapModeRead, 0, copied));
      const bytes = staging.gpu.getMappedRange(0, copied).slice(0);
      staging.gpu.unmap();
      this.#keep(staging);
      return bytes;
    } catch (cause) {
      staging.gpu.destroy();
      throw cause;
    } finally {
      release();
    }
  }

  /** Destroys the idle staging buffers. */
  dispose(): void {
    for (const { gpu } of this.#idle) gpu.destroy();
    this.#idle.length = 0;
    this.#pooled = 0;
  }

  #take(byteLength: number) {
    const at = this.#idle.findIndex((staging) => staging.byteLength === byteLength);
    if (at >= 0) {
      this.#pooled -= byteLength;
      return this.#idle.splice(at, 1)[0]!;
    }
    const usage = bufferUsage.mapRead | bufferUsage.copyDestination;
    return { gpu: this.#device.createBuffer({ size: byteLength, usage }), byteLength };
  }

  #keep(staging: { readonly gpu: GPUBuffer; readonly byteLength: number }): void {
    if (this.#pooled + staging.byteLength > keptBytes) {
      staging.gpu.destroy();
      return;
    }
    this.#pooled += staging.byteLength;
    this.#idle.push(staging);
  }
}
