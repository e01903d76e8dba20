import type { Device } from '../graph/device.ts';
import type { Storage } from '../graph/executor.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { TracedCall } from './traced-call.ts';

/** Handles of the last run's outputs, which lie in the program's own buffers: the next run makes them stale. */
export class RunOutputs {
  readonly #device: Device;
  #tensors: readonly Tensor[] = [];
  /** The call that they are of. */
  #call: TracedCall | undefined;

  constructor(device: Device) {
    this.#device = device;
  }

  includes(tensor: Tensor): boolean {
    return this.#tensors.includes(tensor);
  }

  /** A run is about to overwrite them. Where it was called before their caller had them, they get values of their own. */
  begin(call: TracedCall): void {
    if (this.#call && call.made < this.#call.delivered) this.#giveCopies();
    this.expire();
    this.#call = call;
  }

  /** Handles on what a run gave. */
  hold(storages: readonly Storage[]): readonly Tensor[] {
    this.#tensors = storages.map((storage) => this.#device.adopt(storage, true));
    return this.#tensors;
  }

  expire(): void {
    for (const tensor of this.#tensors) tensor.expire();
    this.#tensors = [];
  }

  #giveCopies(): void {
    for (const tensor of this.#tensors)
      if (tensor.isUsable) tensor.keepCopy(this.#device.executor.copy(tensor.storage!, 'tensors'));
    this.#tensors = [];
  }
}
