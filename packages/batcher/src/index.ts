export type { AdmissionRule } from './admission.ts';
export { optimistic, reserveAll } from './admission.ts';
export type { CountingCapacity } from './block-capacity.ts';
export { blockCapacity, slotCapacity } from './block-capacity.ts';
export type { Capacity } from './capacity.ts';
export type { ContinuousSchedulerOptions } from './continuous-scheduler.ts';
export { continuousScheduler } from './continuous-scheduler.ts';
export type { BatcherErrorCode } from './errors.ts';
export { BatcherError, isBatcherError, RejectedError } from './errors.ts';
export { firstCome } from './policies.ts';
export type { Policy, PolicyContext, SequenceView, WaitingQueue } from './policy.ts';
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
