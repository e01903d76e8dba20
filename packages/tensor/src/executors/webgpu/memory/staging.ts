import { bufferUsage, mapModeWrite } from '../gpu-flags.ts';
import type { DeviceHealth } from '../health.ts';

/** A piece that is being filled. */
interface OpenPiece {
  readonly gpu: GPUBuffer;
  readonly bytes: Uint8Array;
  /** Where its first byte goes. */
  readonly at: number;
  filled: number;
}

/**
 * Memory of the host that the device copies from, in pieces that are used again: the queue's own writes take fresh memory each time,
 * which costs more than the copies. Where all pieces are still being copied from, the rest goes through the queue.
 */
export class Staging {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #idle: GPUBuffer[] = [];
  readonly #made = new Set<GPUBuffer>();

  readonly #pieceBytes: number;
  readonly #maxPieces: number;

  /**
   * @param pieceBytes bytes of a piece
   * @param maxPieces how many there are at most
   */
  constructor(device: GPUDevice, health: DeviceHealth, pieceBytes: number = 1 << 22, maxPieces: number = 16) {
    this.#device = device;
    this.#health = health;
    this.#pieceBytes = pieceBytes;
    this.#maxPieces = maxPieces;
  }

  /** Bytes of all pieces. */
  get pooled(): number {
    return this.#made.size * this.#pieceBytes;
  }

  /**
   * Writes bytes one after the other, after what was submitted before. They may change after the call.
   * @param offset in bytes; it and every length are multiples of 4
   */
  write(buffer: GPUBuffer, offset: number, parts: readonly Uint8Array[]): void {
    const used: GPUBuffer[] = [];
    let piece: OpenPiece | undefined;
    const close = () => {
      if (!piece) return;
      piece.gpu.unmap();
      this.#health.recorder.copies.copyBufferToBuffer(piece.gpu, 0, buffer, piece.at, piece.filled);
      used.push(piece.gpu);
      piece = undefined;
    };
    let at = offset;
    for (const part of parts)
      for (let from = 0; from < part.length; ) {
        piece ??= this.#open(at);
        const count = piece ? Math.min(part.length - from, this.#pieceBytes - piece.filled) : part.length - from;
        const bytes = part.subarray(from, from + count);
        if (piece) {
          piece.bytes.set(bytes, piece.filled);
          piece.filled += count;
        } else this.#device.queue.writeBuffer(buffer, at, bytes);
        at += count;
        from += count;
        if (piece?.filled === this.#pieceBytes) close();
      }
    close();
    if (used.length === 0) return;
    this.#health.submit();
    this.#health.flush(); // a buffer that is being mapped cannot be copied from
    for (const gpu of used) this.#giveBack(gpu);
  }

  /** Destroys all pieces. */
  dispose(): void {
    for (const gpu of this.#made) gpu.destroy();
    this.#made.clear();
    this.#idle.length = 0;
  }

  #open(at: number): OpenPiece | undefined {
    let gpu = this.#idle.pop();
    if (!gpu) {
      if (this.#made.size === this.#maxPieces) return undefined;
      const usage = bufferUsage.mapWrite | bufferUsage.copySource;
      gpu = this.#device.createBuffer({ size: this.#pieceBytes, usage, mappedAtCreation: true });
      this.#made.add(gpu);
    }
    return { gpu, bytes: new Uint8Array(gpu.getMappedRange()), at, filled: 0 };
  }

  #giveBack(gpu: GPUBuffer): void {
    gpu.mapAsync(mapModeWrite).then(
      () => {
        if (this.#made.has(gpu)) this.#idle.push(gpu);
      },
      () => this.#made.delete(gpu), // of a device that is lost, or disposed of
    );
  }
}
