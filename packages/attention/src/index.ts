export { alibiScores } from './dense/alibi.ts';
export { attention, attentionWithLse, attentionWithMass } from './dense/attention.ts';
export type { AttentionDropout, AttentionSpec } from './dense/attention-spec.ts';
export { mergeAttention } from './dense/merge-attention.ts';
export { segmentIds } from './dense/segments.ts';
export type { MaskMod, ScoreMod, ScorePlace } from './flex/trace.ts';
export type { AttendSpec, AttentionKernel } from './kernels/attention-kernel.ts';
export {
  type FirstSupportedOptions,
  firstSupported,
  type KernelChoice,
  type KernelCost,
} from './kernels/first-supported.ts';
export { decode, flash, paged, singleRows } from './kernels/flash.ts';
export type { KvView } from './kernels/kv-view.ts';
export { measuredCost, type SampleCall } from './kernels/measured-cost.ts';
export { naive } from './kernels/naive.ts';
export { prefillDecode } from './kernels/prefill-decode.ts';
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
  type DrawOptions,
  type Projection,
} from './modules/attention-parameters.ts';
export { type AttentionType, keyValueHeads } from './modules/attention-type.ts';
export { type AttentionMassInputs, attentionMass } from './paged/attention-mass.ts';
export { dequantizeRows, type PageBits, type QuantizedRows, quantizeRows } from './paged/quantized-pages.ts';
export { rotateHeads } from './paged/rotated.ts';
export { createLearnedPositions, type LearnedPositionsOptions } from './positions/learned-positions.ts';
export type { PositionModule } from './positions/position-module.ts';
export { createSinusoidalPositions, type SinusoidalPositionsOptions } from './positions/sinusoidal-positions.ts';
export type { CachedRows } from './recurrent/cached-rows.ts';
export { type DeltaRuleGates, gatedDeltaRule, packedGatedDeltaRule } from './recurrent/gated-delta-rule.ts';
export { type Mamba2Parameters, mamba2Scan, packedMamba2Scan } from './recurrent/mamba2-scan.ts';
export { type PackedConvolutionRows, packedShortConvolution } from './recurrent/packed-short-convolution.ts';
export { type ShortConvolution, shortConvolution } from './recurrent/short-convolution.ts';
export type { StateView } from './recurrent/state-view.ts';
export { rotary } from './rotary/rotary.ts';
export { type RotaryFrequencies, rotaryFrequencies } from './rotary/rotary-frequencies.ts';
export type {
  DefaultRotary,
  DynamicRotary,
  LinearRotary,
  Llama3Rotary,
  LongRopeRotary,
  ProportionalRotary,
  RotaryScaling,
  RotarySpec,
  YarnRotary,
} from './rotary/rotary-spec.ts';
export { type RotaryTable, rotaryTable } from './rotary/rotary-table.ts';
