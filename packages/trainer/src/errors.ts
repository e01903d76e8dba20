import { HeddleError } from '@heddle/tensor';

/** What went wrong in training; stable, and what programs should test. */
export type TrainingErrorCode =
  /** A parameter is no `Variable`, is frozen, is no float, or is of another device; or there are none. */
  | 'ERR_PARAMETER'
  /** The data gave no batch at all. */
  | 'ERR_EMPTY_DATA'
  /** The data ended before the steps that were asked for. */
  | 'ERR_DATA_ENDED'
  /** A loss or gradient norm is NaN or infinite. */
  | 'ERR_NON_FINITE'
  /** An optimizer gave something else than one value per parameter and per value of its state, or a number that is none. */
  | 'ERR_OPTIMIZER';

/** Training cannot start or go on. `step` is the step, counted from 0, where there is one. */
export class TrainingError extends HeddleError {
  readonly step: number | undefined;

  constructor(code: TrainingErrorCode, message: string, step?: number) {
    super(code, message);
    this.name = 'TrainingError';
    this.step = step;
  }
}
