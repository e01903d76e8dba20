import { cast, linear, type Tensor } from '@heddle/tensor';
import type { ForwardAdapters } from './causal-lm.ts';
import type { Weights } from './weights.ts';

/** The linear layers of a model: the one place where weights, dtypes, biases and adapters meet. */
export class Projections {
  readonly #weights: Weights;
  readonly #activations: 'f32' | 'f16';

  constructor(weights: Weights, activations: 'f32' | 'f16') {
    this.#weights = weights;
    this.#activations = activations;
  }

  /**
   * x times the weight of a site, with its bias where it has one, and what adapters add: `[..., in]` to f32 `[..., out]`. Sums in
   * f32 of what the activations and the weight are stored in.
   * @param site the layer's name in the file, without `.weight`
   */
  apply(site: string, x: Tensor, adapters?: ForwardAdapters): Tensor {
    const weight = this.#weights.get(`${site}.weight`);
    const bias = this.#weights.optional(`${site}.bias`);
    const input = cast(x, this.#activations);
    const y = linear(input, weight, bias, { dtype: 'f32' });
    return adapters ? adapters.add(site, input, y) : y;
  }
}
