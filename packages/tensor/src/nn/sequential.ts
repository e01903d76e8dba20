import { describe } from '../checks/describe.ts';
import { ArgumentError } from '../checks/errors.ts';
import type { Tensor } from '../graph/tensor.ts';
import { dropout } from '../ops/create/dropout.ts';
import { foldKey, randomKey } from '../ops/create/random.ts';
import { type Layer, type LayerContext, type LayerParameters, layerOf } from './layer.ts';

/**
 * Sets values to 0 with probability `rate`, and divides the others by 1 - `rate`, where the forward pass is given a key; otherwise
 * it gives its input. @throws ArgumentError for a rate outside [0, 1]
 */
export function createDropout(rate: number): Layer<Record<string, never>> {
  if (!(typeof rate === 'number' && rate >= 0 && rate <= 1))
    throw new ArgumentError(`createDropout: the rate must be in [0, 1], got ${describe(rate)}`);
  return layerOf('dropout layer', {}, (x, { key }) => (key === undefined ? x : dropout(x, rate, key)));
}

/** A layer, or a function of a tensor (`relu`). */
export type SequentialPart = Layer | ((x: Tensor) => Tensor);

/**
 * Layers and functions one after the other. Parameters are named by the places of their layers (`0.weight`, `2.weight`), as in
 * PyTorch; each layer has a key of its own. It owns its layers.
 *
 * ```ts
 * const model = createSequential(createLinear(device, { inputs: 4, outputs: 8, seed: 1 }), relu,
 *   createLinear(device, { inputs: 8, outputs: 3, seed: 2 }));
 * ```
 * @throws ArgumentError for what is neither a layer nor a function
 */
export function createSequential(...parts: readonly SequentialPart[]): Layer {
  const parameters: Record<string, LayerParameters> = {};
  parts.forEach((part, i) => {
    if (typeof part === 'function') return;
    if (typeof part?.forward !== 'function' || typeof part.parameters !== 'object' || part.parameters === null)
      throw new ArgumentError(`createSequential: takes layers and functions, got ${describe(part)} at place ${i}`);
    if (Object.keys(part.parameters).length > 0) parameters[i] = part.parameters;
  });
  return layerOf('sequential', parameters, (x, { key }) => {
    const own = typeof key === 'number' ? randomKey(x.device, key) : key;
    const contextOf = (i: number): LayerContext => (own === undefined ? {} : { key: foldKey(own, i) });
    return parts.reduce<Tensor>(
      (y, part, i) => (typeof part === 'function' ? part(y) : part.forward(y, contextOf(i))),
      x,
    );
  });
}
