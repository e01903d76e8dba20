export { type AdamWOptions, type AdamWState, adamw } from './adamw.ts';
export type { Batch, BatchFor, TracedBatch } from './batch.ts';
export { repeat } from './batches.ts';
export { chain } from './chain.ts';
export { clipByGlobalNorm, globalNorm } from './clip-by-global-norm.ts';
export { TrainingError, type TrainingErrorCode } from './errors.ts';
export type { AllocateState, GradientTransform, Optimizer, Parameter, UpdateContext } from './optimizer.ts';
export type { ModelParameters } from './parameters.ts';
export { constantSchedule, type Schedule, type WarmupCosineOptions, warmupCosineSchedule } from './schedules.ts';
export { type StepReport, type TrainOptions, train } from './train.ts';
export {
  createTrainStep,
  type StepResult,
  type SubmittedStep,
  type TrainableModel,
  type TrainStep,
  type TrainStepOptions,
} from './train-step.ts';
