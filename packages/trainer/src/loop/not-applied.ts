import { TrainingError } from '../errors.ts';
import { type Batch, maskedEntirely } from '../model/batch.ts';
import type { StepResult } from '../step/train-step.ts';

/** Why a step changed nothing. */
export function notAppliedError(
  { step, loss, gradientNorm, count }: StepResult,
  batches: readonly Batch[],
): TrainingError {
  const masked = batches.map(maskedEntirely);
  if (count === 0 || masked.every((names) => names.length > 0)) {
    const names = masked[0]?.length
      ? `every value of its '${masked[0].join("' and '")}' is masked`
      : 'its loss counts nothing';
    return new TrainingError(
      'ERR_NOTHING_TO_LEARN',
      `train: step ${step} has nothing to learn from: ${names}. Leave such batches out, or go on with nonFinite: 'skip'`,
      step,
    );
  }
  const what = Number.isFinite(loss)
    ? `the gradient norm of step ${step} is ${gradientNorm}`
    : `the loss of step ${step} is ${loss}`;
  return new TrainingError(
    'ERR_NON_FINITE',
    `train: ${what}; that step changed nothing. Lower the learning rate, look at its batch, or go on with nonFinite: 'skip'`,
    step,
  );
}
