import type { SequenceResult } from '@heddle/batcher';
import { isHeddleError } from '@heddle/tensor';
import type { ScheduledGeneration } from '../request.ts';

type Failing = Pick<ScheduledGeneration, 'failure' | 'stranded'>;

/**
 * Ends a request of a step that is being submitted, and none beside it: this step and later ones leave it out.
 * @throws the error where it is the loss of the device, which ends all
 */
export function failAlone(request: Failing, error: unknown): void {
  if (isHeddleError(error, 'ERR_DEVICE_LOST')) throw error;
  request.failure ??= { error, row: 0 };
  request.stranded = true;
}

/** What a step gives for a request that it has left out: an error where that failed by itself and has not been told so. */
export function resultOfLeftOut({ failure, stranded, ended }: ScheduledGeneration): SequenceResult | undefined {
  return failure && stranded && !ended ? { tokens: [], finish: 'error', error: failure.error } : undefined;
}
