import { checkArguments, isFloat, type LinearCrossEntropyOptions, type Tensor } from '@heddle/tensor';
import { type SummedLoss, summedCrossEntropy, summedLinearCrossEntropy } from '@heddle/trainer';
import type { LmOutput } from './trainable-lm.ts';

/**
 * The cross-entropy of the tokens that follow, summed over those that count: targets of -100 do not. Where the model's head is
 * a weight alone, the logits of `chunkRows` rows are there at a time; otherwise, and where the weight is stored in blocks, all.
 * @param batch `targets` i32 `[B, L]`
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function nextTokenLoss(
  output: LmOutput,
  batch: { readonly targets: Tensor },
  options: Pick<LinearCrossEntropyOptions, 'chunkRows'> = {},
): SummedLoss {
  checkArguments('nextTokenLoss', 'object', { output, batch, options });
  const { hidden, logits, headWeight } = output;
  const { targets } = batch;
  const { chunkRows } = options;
  if (!headWeight || !isFloat(headWeight.dtype)) return summedCrossEntropy(logits, targets);
  // in the dtype of the weight, as the model's own head reads them
  return summedLinearCrossEntropy(hidden.cast(headWeight.dtype), headWeight, targets, chunkRows ? { chunkRows } : {});
}
