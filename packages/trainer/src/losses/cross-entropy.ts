import {
  type CrossEntropyOptions,
  calledAs,
  checkArguments,
  checkOptions,
  crossEntropy,
  type LinearCrossEntropyOptions,
  linearCrossEntropy,
  type Tensor,
  where,
} from '@heddle/tensor';
import type { SummedLoss } from '../model/model.ts';

/**
 * The cross-entropy of tokens, summed, with the number of those that count: the loss of a language model whose steps are exact
 * means over all tokens, however many rows, batches or masked targets they have.
 *
 * `logits` is `[..., V]`, `targets` i32 `[...]`; options as of `crossEntropy`. A batch in which no token counts gives 0 of 0.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function summedCrossEntropy(logits: Tensor, targets: Tensor, options: CrossEntropyOptions = {}): SummedLoss {
  checkArguments('summedCrossEntropy', 'tensor', { logits, targets });
  checkOptions('summedCrossEntropy', options, { ignoreIndex: 'integer?', labelSmoothing: 'number?' });
  return calledAs('summedCrossEntropy', () => summed(targets, options, (safe) => crossEntropy(logits, safe, options)));
}

/**
 * `summedCrossEntropy(linear(x, weight, bias), targets)` that never holds all logits: they are computed for `chunkRows` rows at
 * a time, once for the loss and its gradients together. `x` is `[..., E]`, `weight` `[V, E]`.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function summedLinearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearCrossEntropyOptions = {},
): SummedLoss {
  checkArguments('summedLinearCrossEntropy', 'tensor', { x, weight, targets });
  checkOptions('summedLinearCrossEntropy', options, {
    bias: 'tensor?',
    ignoreIndex: 'integer?',
    labelSmoothing: 'number?',
    chunkRows: 'number?',
  });
  return calledAs('summedLinearCrossEntropy', () =>
    summed(targets, options, (safe) => linearCrossEntropy(x, weight, safe, options)),
  );
}

function summed(
  targets: Tensor,
  { ignoreIndex = -100 }: { readonly ignoreIndex?: number },
  meanOf: (targets: Tensor) => Tensor,
): SummedLoss {
  const count = targets.equal(ignoreIndex).not().cast('f32').sum();
  // a mean over nothing is NaN, and so are its gradients: then it is taken over something, which counts 0
  const mean = meanOf(where(count.greater(0), targets, 0));
  return { total: mean.mul(count), count };
}
