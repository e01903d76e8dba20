import { subtractDims } from '../../dim.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { record, recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { oneHot } from '../create/construction.ts';
import { sizeScalar } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { div } from '../elementwise/elementwise.ts';
import { where } from '../elementwise/where.ts';
import { pickAlongAxis } from '../indexing/indexing.ts';
import { reshape } from '../movement/movement.ts';
import { mean, sum } from '../reduce/reduce.ts';
import { crossEntropyRowsWebGpu } from './cross-entropy-rows.wgsl.ts';
import { logSoftmax, softmax } from './softmax.ts';

export interface CrossEntropyRowsAttributes {
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
}

const column = (x: Tensor) => reshape(x, [x.shape[0]!, 1]);

/** Which rows count, the class that each is about, and the logits, of rows that do not count 0 whatever they are. */
function partsOf(logits: Tensor, targets: Tensor, ignoreIndex: number) {
  const last = sizeScalar(logits.device, subtractDims(logits.shape[1]!, 1), 'i32');
  const own = targets.maximum(0).minimum(last);
  const counts = targets.equal(ignoreIndex).not();
  return { own, counts, isOutside: own.equal(targets).not(), clean: where(column(counts), logits, 0) };
}

/**
 * Of logits f32 `[T, V]` and targets i32 `[T]` the loss of each row, f32 `[T]`: 0 where it does not count, whatever the logits
 * are, NaN where the target is no class.
 */
const lossesOp: Op<CrossEntropyRowsAttributes> = defineOp<CrossEntropyRowsAttributes>({
  name: 'crossEntropyRows',
  shape: ([, targets]) => [{ shape: targets!.shape, dtype: 'f32' }],
  gradient({ inputs, outputGradients: [g], attributes }) {
    const [, byLogits] = record(gradientOp, inputs, attributes);
    const counts = inputs[1]!.equal(attributes.ignoreIndex).not();
    return [where(column(counts), byLogits!.mul(column(g!)), 0), undefined];
  },
  decompose: ([logits, targets], attributes) => [lossesOf(logits!, targets!, attributes)],
  lower: { webgpu: crossEntropyRowsWebGpu(false) },
});

function lossesOf(logits: Tensor, targets: Tensor, { ignoreIndex, labelSmoothing }: CrossEntropyRowsAttributes) {
  const { own, counts, isOutside, clean } = partsOf(logits, targets, ignoreIndex);
  const chances = logSoftmax(clean, -1);
  const picked = reshape(pickAlongAxis(chances, column(own), -1), own.shape);
  const expected =
    labelSmoothing === 0 ? picked : picked.mul(1 - labelSmoothing).add(mean(chances, -1).mul(labelSmoothing));
  return where(counts, where(isOutside, Number.NaN, expected.neg()), 0);
}

/** The losses, and behind them the gradient of their sum by the logits, f32 `[T, V]`. */
const gradientOp: Op<CrossEntropyRowsAttributes> = defineOp<CrossEntropyRowsAttributes>({
  name: 'crossEntropyRowsGradient',
  contains: { op: lossesOp as Op, attributes: (own) => own },
  shape: ([logits, targets]) => [
    { shape: targets!.shape, dtype: 'f32' },
    { shape: logits!.shape, dtype: 'f32' },
  ],
  decompose([logits, targets], attributes) {
    const { ignoreIndex, labelSmoothing } = attributes;
    const { own, counts, isOutside, clean } = partsOf(logits!, targets!, ignoreIndex);
    const classes = logits!.shape[1]!;
    const hit = oneHot(own, classes).mul(1 - labelSmoothing);
    const spread = div(labelSmoothing, sizeScalar(logits!.device, classes));
    const wanted = labelSmoothing === 0 ? hit : hit.add(spread);
    const byLogits = softmax(clean, -1).sub(where(column(isOutside), Number.NaN, wanted));
    return [lossesOf(logits!, targets!, attributes), where(column(counts), byLogits, 0)];
  },
  lower: { webgpu: crossEntropyRowsWebGpu(true) },
});

/** The loss of each row. */
export function crossEntropyRows(logits: Tensor, targets: Tensor, attributes: CrossEntropyRowsAttributes): Tensor {
  return recordOne(lossesOp, [logits, targets], attributes);
}

/** The loss of each row, and the gradient of their sum by the logits. */
export function crossEntropyRowsGradient(
  logits: Tensor,
  targets: Tensor,
  attributes: CrossEntropyRowsAttributes,
): { readonly losses: Tensor; readonly byLogits: Tensor } {
  const [losses, byLogits] = record(gradientOp, [logits, targets], attributes);
  return { losses: losses!, byLogits: byLogits! };
}

/** A sum of losses over the number of targets that count: NaN where none does, with gradients of 0. */
export function meanLoss(total: Tensor, targets: Tensor, ignoreIndex: number): Tensor {
  const count = sum(cast(targets.equal(ignoreIndex).not(), 'f32'));
  return where(count.equal(0), Number.NaN, total.div(count.maximum(1)));
}
