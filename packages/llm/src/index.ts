export { type AdapterPool, type AdapterPoolOptions, createAdapterPool } from './adapters/adapter-pool.ts';
export { type BeamResult, type BeamSearchOptions, beamSearch } from './beams/beam-search.ts';
export type { EarlyStopping } from './beams/beams.ts';
export type { BlocksConfig } from './blocks/block-layout.ts';
export { type BlockNames, gpt2Names, llamaNames } from './blocks/block-names.ts';
export {
  type BlockActivation,
  type BlockPositions,
  type TransformerBlock,
  type TransformerBlockOptions,
  transformerBlock,
} from './blocks/transformer-block.ts';
export type { GenerationDefaults } from './config/generation.ts';
export type { SpecialTokens } from './config/special-tokens.ts';
export type { ModelConfig } from './config.ts';
export { type CreateModelOptions, createModel } from './create-model.ts';
export type { LayoutConfig } from './described-config.ts';
export { type EmbedOptions, embed } from './embedding/embed.ts';
export {
  type EmbeddingModel,
  type OpenEmbeddingModelOptions,
  openEmbeddingModel,
} from './embedding/embedding-model.ts';
export { type RankedDocument, type RankOptions, rank } from './embedding/rank.ts';
export { type OpenRankingModelOptions, openRankingModel, type RankingModel } from './embedding/ranking-model.ts';
export { cacheCapacity } from './engine/cache-capacity.ts';
export { type CacheFormatMeasurement, measureCacheFormat } from './engine/cache-format.ts';
export type { CacheSize } from './engine/cache-size.ts';
export { type EngineOptions, openEngine } from './engine/default-engine.ts';
export { createEngine, type Engine, type EngineSize, type EngineStats } from './engine/engine.ts';
export type { EngineParts } from './engine/engine-parts.ts';
export type { GenerationRequest, ScheduledGeneration } from './engine/request.ts';
export type { HeldAdapter, RequestAdapters } from './engine/request-adapters.ts';
export { prometheusText } from './engine/stats-text.ts';
export { LogitsError } from './engine/steps/logits-error.ts';
export type { PrepareOptions } from './engine/steps/prepare-sizes.ts';
export type { DeterministicSteps } from './engine/steps/step-parts.ts';
export { chromeTrace, type StepTimes, type TraceEvent } from './engine/steps/step-trace.ts';
export { type SpanTracer, stepSpans, tracedEngine } from './engine/telemetry.ts';
export type { TokenConstraint } from './engine/token-constraint.ts';
export { GrammarError } from './grammar/errors.ts';
export {
  GrammarPool,
  type GrammarPoolOptions,
  type GrammarSequence,
  type GrammarStep,
} from './grammar/grammar-pool.ts';
export type { JsonSchemaOptions } from './grammar/json-schema/json-schema.ts';
export { markerCharacter } from './grammar/markers.ts';
export {
  anyFormat,
  type CombinedFormat,
  choices,
  ebnf,
  formatSequence,
  json,
  jsonSchema,
  type OutputFormat,
  regex,
  repeatedFormat,
  structuralTags,
  textUntil,
} from './grammar/output-format.ts';
export type { StructuralTag, StructuralTags } from './grammar/structural-tags.ts';
export type { Next } from './grammar/worker-messages.ts';
export { HubError, type HubErrorCode } from './hub/hub-error.ts';
export type { HubOptions, HubProgress } from './hub/hub-options.ts';
export { type PulledModel, pullModel } from './hub/pull-model.ts';
export type { Advice, AttentionChoice, DecodingLimits, StorageChoice } from './inspect/advice.ts';
export type { LayerFlops, ModelFlops } from './inspect/count-flops.ts';
export { inspectModel } from './inspect/inspect-model.ts';
export type { InspectOptions, LayerReport, ModelReport } from './inspect/report.ts';
export type { PartTotals, WeightPart } from './inspect/weight-parts.ts';
export { type LoadedModel, type LoadModelOptions, loadModel } from './load-model.ts';
export { type ModelFiles, modelFolder } from './model-files.ts';
export type {
  CausalLm,
  ForwardAdapters,
  ForwardHooks,
  ForwardInputs,
  ForwardResult,
} from './models/causal-lm.ts';
export type {
  ActivationName,
  AttentionLayout,
  BranchLayout,
  DecoderLayout,
  ExpertMatrixLayout,
  ExpertsLayout,
  FeedForwardLayout,
  GatedLayout,
  LayerLayout,
  LinearLayout,
  MixerLayout,
  NormLayout,
  PerLayerEmbeddingLayout,
  PerLayerLayout,
  PlainLayout,
} from './models/decoder/layout.ts';
export type { WeightDType } from './models/weight-file.ts';
export type { WeightSource } from './models/weight-source.ts';
export { type Divergence, divergence } from './quantize/logits-divergence.ts';
export { type QuantizedModel, type QuantizeOptions, quantizeModel } from './quantize/quantize-model.ts';
export type { QuantizedDType } from './quantize/stored-type.ts';
export {
  filteredSampler,
  greedy,
  type SampleContext,
  type Sampler,
  type SeededSampler,
  sampler,
} from './sampler.ts';
export { allowedTokens, badWords, logitBias } from './sampling/biases.ts';
export { epsilonCutoff, etaCutoff, typical } from './sampling/cutoffs.ts';
export { type StageSampling, stageSampling } from './sampling/device-sampling.ts';
export { type Draw, drawToken } from './sampling/draw.ts';
export { type LogitFilter, minP, temperature, topK, topP } from './sampling/filters.ts';
export type { LaneSizes } from './sampling/lane-states.ts';
export type { TokenLogprobs } from './sampling/logprobs.ts';
export type { SamplerOptions, SamplingSettings } from './sampling/options.ts';
export { noRepeatNgram, occurrencePenalty, repetitionPenalty } from './sampling/repetition.ts';
export type {
  DeviceSampling,
  SampleColumn,
  SampledRow,
  SampleInputs,
  SampleOutputs,
  SamplePlan,
} from './sampling/sample-plan.ts';
export type { LaneStateName, LogitStage, SampleRows } from './sampling/stages/logit-stage.ts';
export { stages, standardStages } from './sampling/stages/standard-stages.ts';
export { type DraftModelOptions, draftModel } from './speculation/draft-model.ts';
export { type PromptLookupOptions, promptLookup } from './speculation/prompt-lookup.ts';
export type { DraftedEngine, Drafter, DraftWish, Speculation } from './speculation/speculation.ts';
export type {
  AnswerFormat,
  AnswerPiece,
  AnswerPlan,
  AnswerReader,
  TemplateFacts,
  Tool,
  ToolCall,
  ToolChoice,
} from './text/answers/answer-format.ts';
export { harmonyAnswers } from './text/answers/harmony-answers.ts';
export { answerFormats } from './text/answers/standard-formats.ts';
export { type CallTags, type TaggedAnswers, type Tags, taggedAnswers } from './text/answers/tagged-answers.ts';
export type { AnswerOptions, ReasoningOptions } from './text/answers/tool-options.ts';
export { type Chat, type ChatOptions, chat } from './text/chat.ts';
export { type GeneratedText, type GenerateTextOptions, generateText, streamText } from './text/generate-text.ts';
export {
  type OpenedTextModel,
  type OpenTextModelOptions,
  openTextModel,
  type TextModel,
  type TextModelOptions,
  textModel,
} from './text/text-model.ts';
export type { TextOptions, TextSettings } from './text/text-options.ts';
export type { TextFinish, TextPart, TextResult, TextUsage } from './text/text-result.ts';
export type { TextStream } from './text/text-stream.ts';
export type { TemplateLimits } from './tokenizer/bounded-template.ts';
export type { ChatMessage, ChatTemplateOptions } from './tokenizer/chat-template.ts';
export type { IncrementalDecoder } from './tokenizer/incremental-decoder.ts';
export {
  type DecodeOptions,
  loadTokenizer,
  type StreamOptions,
  type Tokenizer,
  type TokenizerResult,
} from './tokenizer.ts';
