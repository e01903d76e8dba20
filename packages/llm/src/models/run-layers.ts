import { ArgumentError, type Tensor } from '@heddle/tensor';
import type { ForwardInputs } from './causal-lm.ts';

/**
 * Runs the layers of a model, through `blocks` where the caller gives them.
 * @throws ArgumentError for what layers that are computed again cannot give: writes of a cache, states between them
 */
export function runLayers(
  { blocks, kv, hidden = [] }: ForwardInputs,
  layers: number,
  x: Tensor,
  run: (layer: number, x: Tensor) => Tensor,
): Tensor {
  const each = Array.from({ length: layers }, (_, i) => (input: Tensor) => run(i, input));
  if (!blocks) return each.reduce((state, layer) => layer(state), x);
  if (kv) throw new ArgumentError('forward: blocks are for training, which takes no kv');
  const between = hidden.find((layer) => layer < layers);
  if (between !== undefined)
    throw new ArgumentError(`forward: with blocks hidden takes ${layers}, what the last layer leaves; got ${between}`);
  return blocks(x, each);
}
