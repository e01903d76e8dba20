export type { AdmissionRule, EstimateOptions } from './admission.ts';
export { estimated, optimistic, reserveAll } from './admission.ts';
export type { CountingCapacity } from './block-capacity.ts';
export { blockCapacity, slotCapacity } from './block-capacity.ts';
export type { Capacity } from './capacity.ts';
export type { PackedBatch, PaddedBatch, PaddedOptions } from './collate.ts';
export { packed, padded } from './collate.ts';
export type {
  CloseOptions,
  ContinuousBatcher,
  ContinuousBatcherOptions,
  GenerateOptions,
  StepResults,
} from './continuous-batcher.ts';
export { continuousBatcher } from './continuous-batcher.ts';
export type { ContinuousSchedulerOptions } from './continuous-scheduler.ts';
export { continuousScheduler } from './continuous-scheduler.ts';
export type { BatchContext, DynamicBatcher, DynamicBatcherOptions, ItemOptions } from './dynamic-batcher.ts';
export { dynamicBatcher } from './dynamic-batcher.ts';
export type { BatchObserver, DynamicFigures, ItemOutcome } from './dynamic-statistics.ts';
export type { BatcherErrorCode } from './errors.ts';
export { BatcherError, isBatcherError, RejectedError } from './errors.ts';
export type { FairShareOptions } from './fair-share.ts';
export { fairShare } from './fair-share.ts';
export type { Failed } from './item-failure.ts';
export { failed, isFailed } from './item-failure.ts';
export { longestPrefix } from './longest-prefix.ts';
export type { SchedulerObserver } from './observe.ts';
export { observed } from './observe.ts';
export { byPriority, earliestDeadline, firstCome, shortestRemaining } from './policies.ts';
export type { Policy, PolicyContext, SequenceView, WaitingQueue } from './policy.ts';
export type { PromClient, PrometheusOptions } from './prometheus.ts';
export { prometheusBatches, prometheusScheduler } from './prometheus.ts';
export type { Summary } from './quantile-sketch.ts';
export { QuantileSketch } from './quantile-sketch.ts';
export type {
  Admission,
  FinishReason,
  ScheduledSequence,
  Scheduler,
  SchedulerEvent,
  SchedulerLoad,
  SequenceRequest,
  StepPlan,
  StepResult,
} from './scheduler.ts';
export type { SchedulerFigures, SchedulerStatistics } from './scheduler-statistics.ts';
export { schedulerStatistics } from './scheduler-statistics.ts';
export type { StreamEnd, TokenStream } from './token-stream.ts';
export type { CapacityAnswer, Trace, TraceDifference, TracedCall, TracedEntry, TracedParts } from './trace.ts';
export { recordTrace, replayTrace } from './trace.ts';
