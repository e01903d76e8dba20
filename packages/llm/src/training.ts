export { adaptedModel, adaptersOf } from './training/adapted-model.ts';
export { openAdapter, saveAdapter } from './training/adapter-folder.ts';
export { withDropoutKeys } from './training/dropout-keys.ts';
export { createModelFolder, type NewModelOptions } from './training/new-model.ts';
export { nextTokenLoss } from './training/next-token-loss.ts';
export { type SaveModelOptions, saveModel } from './training/save-model.ts';
export {
  type LmBatch,
  type LmOutput,
  type TrainableLmOptions,
  trainableLm,
} from './training/trainable-lm.ts';
