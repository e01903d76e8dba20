export { TrainingError, type TrainingErrorCode } from './errors.ts';
export { repeat } from './loop/batches.ts';
export type { EarlyStopping, EvaluateOptions, SaveRunOptions, TrainOptions } from './loop/options.ts';
export type { PhaseSeconds, StepMemory, StepReport } from './loop/step-report.ts';
export { train } from './loop/train.ts';
export { summedCrossEntropy, summedLinearCrossEntropy } from './losses/cross-entropy.ts';
export {
  type DpoOptions,
  type DpoResult,
  dpoLoss,
  type PreferenceLogProbabilities,
  sequenceLogProbabilities,
} from './losses/preference.ts';
export {
  type LargestBatch,
  type LargestBatchOptions,
  largestBatch,
  type PlannedMemory,
  planMemory,
} from './memory/plan-memory.ts';
export type { Batch, BatchFor, TracedBatch } from './model/batch.ts';
export type { Checkpointing } from './model/checkpointing.ts';
export type { Block, ForwardContext, SummedLoss, TrainableModel } from './model/model.ts';
export type { ModelParameters, ParameterTree, TrainedParameter } from './model/parameters.ts';
export { type AdafactorOptions, type AdafactorState, adafactor } from './optimizers/adafactor.ts';
export { type AdamOptions, type AdamState, adam, adamw } from './optimizers/adam.ts';
export { type AdamW8bitOptions, adamw8bit, type MomentsOf8Bits } from './optimizers/adamw-8bit.ts';
export { chain } from './optimizers/chain.ts';
export { clipByGlobalNorm, clipByValue, globalNorm } from './optimizers/clip.ts';
export { type LionOptions, type LionState, lion } from './optimizers/lion.ts';
export type { Moments8bit } from './optimizers/moments-8bit.ts';
export { type MuonOptions, type MuonState, muon } from './optimizers/muon.ts';
export type { AllocateState, GradientTransform, Optimizer, Parameter, UpdateContext } from './optimizers/optimizer.ts';
export type { DecayOptions, LearningRateOption } from './optimizers/options.ts';
export { type ParameterGroup, parameterGroups } from './optimizers/parameter-groups.ts';
export { type SgdOptions, type SgdState, sgd } from './optimizers/sgd.ts';
export {
  type AllocateScalar,
  type DynamicLossScaleOptions,
  type DynamicLossScaleState,
  dynamicLossScale,
  type LossScale,
  staticLossScale,
} from './precision/loss-scale.ts';
export type { Precision } from './precision/precision.ts';
export {
  cosineSchedule,
  type DecayScheduleOptions,
  linearSchedule,
  type WarmupCosineOptions,
  warmupCosineSchedule,
} from './schedules/decay.ts';
export { type OneCycleOptions, oneCycleSchedule } from './schedules/one-cycle.ts';
export { constantSchedule, type Schedule } from './schedules/schedule.ts';
export { warmUp } from './schedules/warm-up.ts';
export { type WarmupStableDecayOptions, warmupStableDecaySchedule } from './schedules/wsd.ts';
export { createEvaluation, type Evaluation, type EvaluationOptions, type EvaluationResult } from './step/evaluation.ts';
export type { TrainStepOptions, TrainStepSettings } from './step/options.ts';
export {
  createTrainStep,
  type Progress,
  type StepBatches,
  type StepResult,
  type SubmittedStep,
  type TrainStep,
} from './step/train-step.ts';
