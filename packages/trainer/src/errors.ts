import { HeddleError } from '@heddle/tensor';

/** What went wrong in training; stable, and what programs should test. */
export type TrainingErrorCode =
  /** A parameter is no `Variable`, is frozen, is no float, or is of another device; or there are none. */
  | 'ERR_PARAMETER'
  /** The data gave no batch at all, or nothing to make one of. */
  | 'ERR_EMPTY_DATA'
  /** The data ended before the steps that were asked for. */
  | 'ERR_DATA_ENDED'
  /** Every target of a step is masked, so there is no loss. */
  | 'ERR_NOTHING_TO_LEARN'
  /** A loss or gradient norm is NaN or infinite. */
  | 'ERR_NON_FINITE'
  /** An optimizer gave something else than one value per parameter and per value of its state, or a number that is none. */
  | 'ERR_OPTIMIZER'
  /** A checkpoint is missing, damaged, or of another model or optimizer. */
  | 'ERR_CHECKPOINT'
  /** Files of an adapter are damaged, do not fit each other, or need what is not computed here. */
  | 'ERR_ADAPTER'
  /** A file of training data is damaged, or holds what the model cannot take. */
  | 'ERR_DATA';

/** Training cannot start or go on. `step` is the step, counted from 0, where there is one. */
export class TrainingError extends HeddleError {
  readonly step: number | undefined;

  constructor(code: TrainingErrorCode, message: string, step?: number, options?: { readonly cause?: unknown }) {
    super(code, message, options);
    this.name = 'TrainingError';
    this.step = step;
  }
}
