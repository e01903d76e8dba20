export { attention, attentionWithLse, attentionWithMass } from './attention.ts';
export type { AttendSpec, AttentionKernel } from './attention-kernel.ts';
export type { AttentionDropout, AttentionSpec } from './attention-spec.ts';
export { type FirstSupportedOptions, firstSupported, type KernelChoice, type KernelCost } from './first-supported.ts';
export { decode, flash, paged } from './flash.ts';
export type { KvView } from './kv-view.ts';
export { measuredCost, type SampleCall } from './measured-cost.ts';
export { mergeAttention } from './merge-attention.ts';
export {
  type AttentionCall,
  type AttentionInput,
  type AttentionModule,
  type AttentionModuleOptions,
  attentionModule,
  createAttentionModule,
  type OwningAttentionModule,
} from './modules/attention-module.ts';
export {
  type AttentionConfig,
  type AttentionParameters,
  attentionParameterShapes,
  createAttentionParameters,
  type Projection,
} from './modules/attention-parameters.ts';
export { type AttentionType, keyValueHeads } from './modules/attention-type.ts';
export { naive } from './naive.ts';
export { createLearnedPositions, type LearnedPositionsOptions } from './positions/learned-positions.ts';
export type { PositionModule } from './positions/position-module.ts';
export { createSinusoidalPositions, type SinusoidalPositionsOptions } from './positions/sinusoidal-positions.ts';
export { prefillDecode } from './prefill-decode.ts';
export { dequantizeRows, type PageBits, type QuantizedRows, quantizeRows } from './quantized-pages.ts';
export { rotary } from './rotary.ts';
export { type RotaryFrequencies, rotaryFrequencies } from './rotary-frequencies.ts';
export type {
  DefaultRotary,
  DynamicRotary,
  LinearRotary,
  Llama3Rotary,
  LongRopeRotary,
  RotaryScaling,
  RotarySpec,
  YarnRotary,
} from './rotary-spec.ts';
export { type RotaryTable, rotaryTable } from './rotary-table.ts';
export type { MaskMod, ScoreMod, ScorePlace } from './score-functions.ts';
export { segmentIds } from './segments.ts';
