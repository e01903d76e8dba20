/**
 * Records commands for one submission: all of them in one encoder, and kernels that follow each other in one pass. Each encoder and
 * each pass is an object that the host has to make and to collect.
 */
export class CommandRecorder {
  readonly #device: GPUDevice;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** Where copies are recorded; ends the pass. Asked for anew for each copy. */
  get copies(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    this.#encoder ??= this.#device.createCommandEncoder();
    return this.#encoder;
  }

  /** Where kernels are recorded. What is set there before is another's. */
  get pass(): GPUComputePassEncoder {
    this.#pass ??= this.copies.beginComputePass();
    return this.#pass;
  }

  /** Whether anything was recorded since the last `finish`. */
  get isOpen(): boolean {
    return this.#encoder !== undefined;
  }

  /** What was recorded since the last time. */
  finish(): GPUCommandBuffer {
    const commands = this.copies.finish();
    this.#encoder = undefined;
    return commands;
  }

  /** Forgets what was recorded. */
  clear(): void {
    this.#pass = undefined;
    this.#encoder = undefined;
  }
}
