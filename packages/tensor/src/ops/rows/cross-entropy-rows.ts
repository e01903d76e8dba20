import { defineOp, type Op } from '../../graph/op.ts';
import { record } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { oneHot } from '../create/construction.ts';
import { where } from '../elementwise/elementwise.ts';
import { pickAlongAxis } from '../indexing/indexing.ts';
import { reshape } from '../movement/movement.ts';
import { mean } from '../reduce/reduce.ts';
import { logSumExp } from '../reduce/statistics.ts';
import { crossEntropyRowsWebGpu } from './cross-entropy-rows.wgsl.ts';
import { softmax } from './softmax.ts';

export interface CrossEntropyRowsAttributes {
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
  /** Whether the second output is wanted. */
  readonly gradient: boolean;
}

/**
 * Of logits f32 `[T, V]` and targets i32 `[T]` the loss of each row, f32 `[T]`, 0 where it does not count; and, where wanted, the
 * gradient of the sum of the losses by the logits, f32 `[T, V]`.
 */
const crossEntropyRowsOp: Op<CrossEntropyRowsAttributes> = defineOp<CrossEntropyRowsAttributes>({
  name: 'crossEntropyRows',
  shape([logits, targets], { gradient }) {
    const losses = { shape: targets!.shape, dtype: 'f32' } as const;
    return gradient ? [losses, { shape: logits!.shape, dtype: 'f32' }] : [losses];
  },
  decompose([logits, targets], { ignoreIndex, labelSmoothing, gradient }) {
    const classes = logits!.shape.at(-1) as number;
    const column = (x: Tensor) => reshape(x, [x.shape[0]!, 1]);
    const own = targets!.maximum(0).minimum(classes - 1);
    const counts = targets!.equal(ignoreIndex).not();
    const picked = reshape(pickAlongAxis(logits!, column(own), -1), own.shape);
    const spread = labelSmoothing === 0 ? undefined : mean(logits!, -1).mul(labelSmoothing);
    const expected = spread ? picked.mul(1 - labelSmoothing).add(spread) : picked;
    const losses = where(counts, logSumExp(logits!, -1).sub(expected), 0);
    if (!gradient) return [losses];
    const hit = oneHot(own, classes).mul(1 - labelSmoothing);
    const wanted = labelSmoothing === 0 ? hit : hit.add(labelSmoothing / classes);
    return [losses, where(column(counts), softmax(logits!, -1).sub(wanted), 0)];
  },
  lower: { webgpu: crossEntropyRowsWebGpu },
});

/** The loss of each row, and the gradient of their sum by the logits where it is wanted. */
export function crossEntropyRows(
  logits: Tensor,
  targets: Tensor,
  attributes: CrossEntropyRowsAttributes,
): { readonly losses: Tensor; readonly byLogits: Tensor | undefined } {
  const [losses, byLogits] = record(crossEntropyRowsOp, [logits, targets], attributes);
  return { losses: losses!, byLogits };
}
