import { cast, embedding, type Tensor } from '@heddle/tensor';
import type { DecoderLayout, PerLayerLayout } from './layout.ts';
import { activations, type Pass } from './pass.ts';

/** What each layer is given of the tokens beside the residual stream: f32 `[..., size]` by its index. */
export type PerLayerInputs = (layer: number) => Tensor;

/**
 * Embeddings of the tokens for each layer; undefined where the decoder has none.
 * @param x what the first layer takes
 */
export function perLayerInputs(
  pass: Pass,
  { perLayerEmbedding: own, layers }: DecoderLayout,
  tokens: Tensor,
  x: Tensor,
): PerLayerInputs | undefined {
  if (!own) return undefined;
  const { site, size, multiplier, projection, projectionMultiplier, norm } = own;
  const split = (all: Tensor) => all.reshape([...tokens.shape, layers.length, size]);
  const ofTokens = cast(embedding(pass.weights.get(`${site}.weight`), tokens), 'f32').mul(multiplier);
  const ofStates = pass.norm(norm, split(pass.linear(projection, x).mul(projectionMultiplier)));
  const all = ofStates.add(split(ofTokens)).mul(Math.SQRT1_2);
  return (layer) => all.slice(-2, layer, layer + 1).reshape([...tokens.shape, size]);
}

/** x with what a layer adds of its embeddings. */
export function addPerLayer(pass: Pass, layout: PerLayerLayout, x: Tensor, input: Tensor): Tensor {
  const { gate, activation, projection, after } = layout;
  const gated = activations[activation](pass.linear(gate, x)).mul(input);
  return x.add(pass.norm(after, pass.linear(projection, gated)));
}
