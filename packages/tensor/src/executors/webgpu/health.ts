import { DeviceLostError, DisposedError } from '../../errors.ts';

/** Whether a device still works. A lost device, or an error that WebGPU reports to nobody in particular, ends its use. */
export class DeviceHealth {
  readonly #device: GPUDevice;
  readonly #ours: boolean;
  #failure: DeviceLostError | undefined;
  #closed = false;
  readonly #waiting = new Set<(cause: Error) => void>();

  /** @param ours whether uncaptured errors can only come from what this executor does */
  constructor(device: GPUDevice, ours: boolean) {
    this.#device = device;
    this.#ours = ours;
    void device.lost.then(({ reason, message }) =>
      this.#fail(`the device was lost (${reason || 'unknown'}): ${message}`),
    );
    if (ours)
      device.addEventListener('uncapturederror', (event) => {
        this.#fail(`the device reported an error: ${event.error.message}`);
      });
  }

  /** @throws DeviceLostError */
  assertWorks(): void {
    if (this.#failure) throw this.#failure;
  }

  /** Sends recorded commands to the device. Errors in them end its use; a caller's own errors on its device do not. */
  submit(encoder: GPUCommandEncoder): void {
    if (!this.#ours) this.#device.pushErrorScope('validation');
    this.#device.queue.submit([encoder.finish()]);
    if (this.#ours) return;
    void this.#device.popErrorScope().then(
      (error) => error && this.#fail(`the device reported an error: ${error.message}`),
      () => {}, // the device was lost, which is known
    );
  }

  /** `work`, or the device's failure where that comes first. */
  orFailure<T>(work: Promise<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#failure) return reject(this.#failure);
      this.#waiting.add(reject);
      void work.then(resolve, reject).finally(() => this.#waiting.delete(reject));
    });
  }

  /** The executor is done with the device: its end is no failure any more, and nothing waits for it. */
  close(): void {
    this.#closed = true;
    this.#rejectAll(new DisposedError('webgpu: the device was disposed of'));
  }

  #fail(message: string): void {
    if (this.#closed || this.#failure) return;
    this.#failure = new DeviceLostError(`webgpu: ${message}`);
    this.#rejectAll(this.#failure);
  }

  #rejectAll(cause: Error): void {
    for (const reject of this.#waiting) reject(cause);
    this.#waiting.clear();
  }
}
