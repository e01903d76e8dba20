import { isFloat, type LinearCrossEntropyOptions, type Tensor } from '@heddle/tensor';
import { type SummedLoss, summedCrossEntropy, summedLinearCrossEntropy } from '@heddle/trainer';
import type { LmOutput } from './trainable-lm.ts';

/**
 * The cross-entropy of the tokens that follow, summed over those that count: targets of -100 do not. Where the model's head is
 * a weight alone, the logits of `chunkRows` rows are there at a time; otherwise, and where the weight is stored in blocks, all.
 * @param batch `targets` i32 `[B, L]`
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function nextTokenLoss(
  { hidden, logits, headWeight }: LmOutput,
  { targets }: { readonly targets: Tensor },
  { chunkRows }: Pick<LinearCrossEntropyOptions, 'chunkRows'> = {},
): SummedLoss {
  if (!headWeight || !isFloat(headWeight.dtype)) return summedCrossEntropy(logits, targets);
  // in the dtype of the weight, as the model's own head reads them
  return summedLinearCrossEntropy(hidden.cast(headWeight.dtype), headWeight, targets, chunkRows ? { chunkRows } : {});
}
