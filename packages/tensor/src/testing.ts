/**
 * `@heddle/tensor/testing`: comparing tensors, checking gradients, and the rules of an operation and of an executor, for tests.
 */
export { allClose, type Closeness, type Comparable, expectAllClose, type Tolerance } from './testing/all-close.ts';
export { ContractError } from './testing/contract-error.ts';
export { type ExecutorContractCase, executorContract, type OpenDevice } from './testing/executor-contract.ts';
export { type GradCheckOptions, gradCheck } from './testing/grad-check.ts';
export { type MatcherResult, tensorMatchers } from './testing/matchers.ts';
export {
  type AppliedCase,
  type CreationCase,
  type ExpectedValues,
  type OperandValues,
  type OperationCase,
  type OperationContractCase,
  operationContract,
} from './testing/operation-contract.ts';
export type { RecordedBufferState } from './testing/recorded-buffer.ts';
export {
  leastLimits,
  type RecordedBinding,
  type RecordedDispatch,
  type RecordingGpu,
  recordingGpu,
} from './testing/recording-gpu.ts';
