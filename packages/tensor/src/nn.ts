/**
 * `@heddle/tensor/nn`: layers as plain `{ parameters, forward }`, and initial values of weights.
 */
export {
  type Conv1dLayerOptions,
  type Conv2dLayerOptions,
  createConv1d,
  createConv2d,
} from './nn/convolutions.ts';
export { createEmbedding, type EmbeddingOptions } from './nn/embedding.ts';
export {
  type DrawOptions,
  type KaimingOptions,
  kaimingNormal,
  kaimingUniform,
  normalValues,
  truncatedNormalValues,
  uniformValues,
  type XavierOptions,
  xavierNormal,
  xavierUniform,
} from './nn/initial-values.ts';
export { type Layer, type LayerContext, type LayerOptions, type LayerParameters, parametersOf } from './nn/layer.ts';
export { createLinear, type LinearOptions, type WeightAndBias } from './nn/linear.ts';
export { createLayerNorm, createRmsNorm, type NormOptions } from './nn/norms.ts';
export { createDropout, createSequential, type SequentialPart } from './nn/sequential.ts';
