export type { PackedBatch, PaddedBatch, PaddedOptions } from './dynamic/collate.ts';
export { packed, padded } from './dynamic/collate.ts';
export { dynamicBatcher } from './dynamic/dynamic-batcher.ts';
export type { BatchObserver, DynamicFigures, ItemOutcome } from './dynamic/dynamic-statistics.ts';
export type { Failed } from './dynamic/item-failure.ts';
export { failed, isFailed } from './dynamic/item-failure.ts';
export type {
  BatchContext,
  BatchingOptions,
  CollatingBatcherOptions,
  DynamicBatcher,
  DynamicBatcherOptions,
  ItemOptions,
  PlainBatcherOptions,
} from './dynamic/options.ts';
export type { BatcherErrorCode } from './errors.ts';
export { BatcherError, isBatcherError, RejectedError } from './errors.ts';
export type { PromClient, PrometheusOptions } from './metrics/prometheus.ts';
export { prometheusBatches, prometheusScheduler } from './metrics/prometheus.ts';
export type { Summary } from './metrics/quantile-sketch.ts';
export { QuantileSketch } from './metrics/quantile-sketch.ts';
export type { SchedulerFigures, SchedulerStatistics } from './metrics/scheduler-statistics.ts';
export { schedulerStatistics } from './metrics/scheduler-statistics.ts';
export type { FairShareOptions } from './policies/fair-share.ts';
export { fairShare } from './policies/fair-share.ts';
export { longestPrefix } from './policies/longest-prefix.ts';
export { byPriority, earliestDeadline, firstCome, shortestRemaining } from './policies/policies.ts';
export type { Policy, PolicyContext, SequenceView, WaitingQueue } from './policies/policy.ts';
export type { AdmissionRule, EstimateOptions } from './scheduling/admission.ts';
export { estimated, optimistic, reserveAll } from './scheduling/admission.ts';
export type { CountingCapacity } from './scheduling/block-capacity.ts';
export { blockCapacity, slotCapacity } from './scheduling/block-capacity.ts';
export type { Capacity } from './scheduling/capacity.ts';
export type { ContinuousSchedulerOptions } from './scheduling/continuous-scheduler.ts';
export { continuousScheduler } from './scheduling/continuous-scheduler.ts';
export type { SchedulerObserver } from './scheduling/observe.ts';
export { observed } from './scheduling/observe.ts';
export type {
  Admission,
  FinishReason,
  ScheduledSequence,
  Scheduler,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  SequenceResult,
  StepPlan,
} from './scheduling/scheduler.ts';
export type {
  CapacityAnswer,
  SchedulerTrace,
  TraceDifference,
  TracedCall,
  TracedEntry,
  TracedParts,
} from './scheduling/trace.ts';
export { recordTrace, replayTrace } from './scheduling/trace.ts';
export type {
  CloseOptions,
  ContinuousBatcher,
  ContinuousBatcherOptions,
  GenerateOptions,
  StepResults,
} from './streaming/batcher.ts';
export { continuousBatcher } from './streaming/continuous-batcher.ts';
export type { StreamEnd, TokenStream } from './streaming/token-stream.ts';
