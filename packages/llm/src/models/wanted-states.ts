import { ArgumentError, type Tensor } from '@heddle/tensor';

/** Collects the hidden states that a forward pass was asked for, in the order of the asking. */
export class WantedStates {
  readonly #wanted: readonly number[];
  readonly #found: Map<number, Tensor> = new Map();

  /** @throws ArgumentError for a layer that the model does not have */
  constructor(layers: number, wanted: readonly number[] = []) {
    for (const layer of wanted)
      if (!Number.isInteger(layer) || layer < 0 || layer > layers)
        throw new ArgumentError(`forward: hidden takes layers from 0 to ${layers}, got ${layer}`);
    this.#wanted = wanted;
  }

  offer(layer: number, state: () => Tensor): void {
    if (this.#wanted.includes(layer)) this.#found.set(layer, state());
  }
  get states(): readonly Tensor[] {
    return this.#wanted.map((layer) => this.#found.get(layer)!);
  }
}
