import { DeviceLostError, DisposedError } from '../../checks/errors.ts';
import { CommandRecorder } from './command-recorder.ts';

/** Milliseconds after which work that failed did not fail since the device was lost. */
const lossDelay = 1000;

/** Whether a device still works. A lost device, or an error that WebGPU reports to nobody in particular, ends its use. */
export class DeviceHealth {
  readonly #device: GPUDevice;
  readonly #ours: boolean;
  #failure: DeviceLostError | undefined;
  #closed = false;
  readonly #waiting = new Set<(cause: Error) => void>();
  /** Where commands are recorded, before `submit`. */
  readonly recorder: CommandRecorder;
  /** Whose commands are recorded and not sent yet. */
  readonly #owners = new Set<object>();
  #holds = 0;

  /** @param ours whether uncaptured errors can only come from what this executor does */
  constructor(device: GPUDevice, ours: boolean) {
    this.#device = device;
    this.#ours = ours;
    this.recorder = new CommandRecorder(device);
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

  /**
   * Sends what is recorded to the device, after what was before; while submissions are held it waits for the next `flush`. Errors
   * in it end its use; a caller's own errors on its device do not.
   * @param owner whose buffers are written by the queue before its next commands
   */
  submit(owner?: object): void {
    if (owner) this.#owners.add(owner);
    if (this.#holds === 0) this.flush();
  }

  /** Holds submissions back until what it gives is called, so that several go as one: a submission takes a host long. */
  hold(): () => void {
    this.#holds++;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      if (--this.#holds === 0) this.flush();
    };
  }

  /** Whether commands of this owner are held back: its buffers must not be written by the queue before they are sent. */
  holdsBack(owner: object): boolean {
    return this.#owners.has(owner);
  }

  /** Sends what was held back: before anything that the queue does at once, and before a buffer is destroyed. */
  flush(): void {
    if (!this.recorder.isOpen) return;
    if (!this.#ours) this.#device.pushErrorScope('validation');
    const commands = this.recorder.finish();
    this.#owners.clear();
    this.#device.queue.submit([commands]);
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
      const failed = async (error: unknown) => reject(await this.#causeOf(error));
      void work.then(resolve, failed).finally(() => this.#waiting.delete(reject));
    });
  }

  /** Why work failed: a device that is lost may end it before it says that it is lost. */
  async #causeOf(error: unknown): Promise<unknown> {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const enough = new Promise<void>((resolve) => {
      timer = setTimeout(resolve, lossDelay);
    });
    if (!this.#failure && !this.#closed) await Promise.race([this.#device.lost, enough]);
    clearTimeout(timer);
    return this.#failure ?? error;
  }

  /** The executor is done with the device: its end is no failure any more, and nothing waits for it. */
  close(): void {
    this.#closed = true;
    this.recorder.clear();
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
