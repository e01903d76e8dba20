import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { type Dim, dimsEqual } from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import { bounded } from '../../graph/bounded.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { record, recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, shapesEqual, sizeOf } from '../../shape.ts';
import { full } from '../create/creation.ts';
import { cast } from '../elementwise/cast.ts';
import { matmul } from '../matmul/matmul.ts';
import { barrier } from '../movement/barrier.ts';
import { concat } from '../movement/concat.ts';
import { flatten, reshape } from '../movement/movement.ts';
import { slice } from '../movement/slice.ts';
import { sum } from '../reduce/reduce.ts';
import { crossEntropyRows, crossEntropyRowsGradient, meanLoss } from './cross-entropy-rows.ts';

interface LossAttributes {
  /** Rows whose logits are there at a time. */
  readonly chunkRows: number;
  readonly ignoreIndex: number;
  readonly labelSmoothing: number;
}

type LossInput = 'x' | 'weight' | 'bias';

interface GradientAttributes {
  readonly loss: LossAttributes;
  /** Which gradients are computed, one output each, in the order x, weight, bias. */
  readonly by: readonly LossInput[];
}

/** One chunk of rows, whose logits are computed when `after` is there. */
function chunkAt(inputs: readonly Tensor[], start: number, { chunkRows }: LossAttributes, after: Tensor | undefined) {
  const [x, weight, targets, bias] = inputs;
  const end = Math.min(start + chunkRows, x!.shape[0] as number);
  const part = slice(x!, 0, start, end);
  const rows = after ? barrier(part, after) : part;
  const product = matmul(rows, weight!, { transposeB: true });
  const logits = cast(bias ? product.add(bias) : product, 'f32');
  return { rows, targets: slice(targets!, 0, start, end), logits };
}

const startsOf = ({ shape }: Tensor, { chunkRows }: LossAttributes) =>
  Array.from({ length: Math.ceil((shape[0] as number) / chunkRows) }, (_, i) => i * chunkRows);

const plus = (total: Tensor | undefined, part: Tensor) => (total ? total.add(part) : part);

// inputs: x [T, E], weight [V, E], targets [T], and bias [V]; the sum of the losses of rows that count
const lossOp: Op<LossAttributes> = defineOp<LossAttributes>({
  name: 'linearCrossEntropy',
  shape: () => [{ shape: [], dtype: 'f32' }],
  gradient({ inputs, outputGradients: [g], needs, attributes }) {
    const there: (LossInput | undefined)[] = [
      'x',
      'weight',
      undefined,
      ...(inputs.length > 3 ? ['bias' as const] : []),
    ];
    const by = there.filter((input, i): input is LossInput => input !== undefined && needs[i]!);
    const [, ...found] = record(gradientOp, inputs, { loss: attributes, by });
    return there.map((input, i) => {
      const gradient = input && found[by.indexOf(input)];
      return gradient && cast(gradient.mul(g!), inputs[i]!.dtype);
    });
  },
  decompose(inputs, attributes) {
    let total: Tensor | undefined;
    for (const start of startsOf(inputs[0]!, attributes)) {
      const { logits, targets } = chunkAt(inputs, start, attributes, total);
      total = plus(total, sum(crossEntropyRows(logits, targets, rowsOf(attributes))));
    }
    return [total!];
  },
});

const rowsOf = ({ ignoreIndex, labelSmoothing }: LossAttributes) => ({ ignoreIndex, labelSmoothing });

/**
 * The loss and its gradients, f32, from one computation of each chunk's logits: one chunk after the other, and what is kept of
 * them is the loss, the sum by weights and the rows by `x`. With it in a graph the loss is not computed by itself.
 */
const gradientOp: Op<GradientAttributes> = defineOp<GradientAttributes>({
  name: 'linearCrossEntropyGradients',
  contains: { op: lossOp as Op, attributes: ({ loss }) => loss },
  shape: ([x, weight, , bias], { by }) => [
    { shape: [], dtype: 'f32' },
    ...by.map((input) => ({ shape: { x, weight, bias }[input]!.shape, dtype: 'f32' as const })),
  ],
  decompose(inputs, { loss: attributes, by }) {
    const [x, weight] = inputs;
    const byRows: Tensor[] = [];
    let [total, byWeight, byBias, after]: (Tensor | undefined)[] = [];
    for (const start of startsOf(x!, attributes)) {
      const { rows, targets, logits } = chunkAt(inputs, start, attributes, after);
      const { losses, byLogits } = crossEntropyRowsGradient(logits, targets, rowsOf(attributes));
      total = plus(total, sum(losses));
      if (by.includes('x')) byRows.push(cast(matmul(byLogits, weight!), 'f32'));
      if (by.includes('weight')) byWeight = plus(byWeight, cast(matmul(byLogits, rows, { transposeA: true }), 'f32'));
      if (by.includes('bias')) byBias = plus(byBias, sum(byLogits, 0));
      after = byWeight ?? byBias ?? byRows.at(-1)!;
    }
    return [
      total!,
      ...by.map((input) => (input === 'x' ? concat(byRows, 0) : input === 'weight' ? byWeight! : byBias!)),
    ];
  },
});

/** What `linearCrossEntropy` counts, and how much of it is there at a time. */
export interface LinearCrossEntropyOptions {
  /** `[V]`, added to the logits. */
  readonly bias?: Tensor;
  /** Rows with this target do not count; -100 by default. */
  readonly ignoreIndex?: number;
  /** Part of the target that is spread over all classes; 0 by default. */
  readonly labelSmoothing?: number;
  /** Rows whose logits are there at a time; 1024 by default. */
  readonly chunkRows?: number;
}

/**
 * `crossEntropy(linear(x, weight, bias), targets)` that never holds all logits: they are computed for `chunkRows` rows at a
 * time. Where gradients are taken in the same graph, these come from the same computation of each chunk's logits as the loss.
 *
 * `x` is `[..., E]`, `weight` `[V, E]`, `targets` i32 `[...]`; the result is a scalar, f32, summed in f32, NaN where no row
 * counts, with gradients of 0. A row that does not count changes nothing, whatever is in it. A target outside of the classes makes
 * the loss NaN; debug mode says which it is. The number of rows must be known when this is recorded.
 * @throws ShapeError, DTypeError, ArgumentError
 */
export function linearCrossEntropy(
  x: Tensor,
  weight: Tensor,
  targets: Tensor,
  options: LinearCrossEntropyOptions = {},
): Tensor {
  return calledAs('linearCrossEntropy', () => {
    checkArguments('linearCrossEntropy', 'tensor', { x, weight, targets });
    checkOptions('linearCrossEntropy', options, {
      bias: 'tensor?',
      ignoreIndex: 'number?',
      labelSmoothing: 'number?',
      chunkRows: 'number?',
    });
    const { bias, ignoreIndex = -100, labelSmoothing = 0, chunkRows = 1024 } = options;
    const name = 'linearCrossEntropy';
    const shapes = `${formatShape(x.shape)}, ${formatShape(weight.shape)} and ${formatShape(targets.shape)}`;
    if (weight.rank !== 2 || x.rank < 1 || !dimsEqual(x.shape.at(-1)!, weight.shape[1]!))
      throw new ShapeError(`${name}: takes x [..., E] and a weight [V, E], got ${shapes}`);
    if (!shapesEqual(targets.shape, x.shape.slice(0, -1)))
      throw new ShapeError(`${name}: takes targets [...] for x [..., E], got ${shapes}`);
    if (!isFloat(x.dtype) || !isFloat(weight.dtype) || targets.dtype !== 'i32')
      throw new DTypeError(
        `${name}: takes floats and i32 targets, got ${x.dtype}, ${weight.dtype} and ${targets.dtype}`,
      );
    if (bias && !shapesEqual(bias.shape, [weight.shape[0]!]))
      throw new ShapeError(`${name}: the bias must be [${weight.shape[0]}], got ${formatShape(bias.shape)}`);
    checkLoss(name, ignoreIndex, labelSmoothing);
    if (!Number.isSafeInteger(chunkRows) || chunkRows < 1)
      throw new ArgumentError(`${name}: chunkRows must be a positive integer, got ${chunkRows}`);
    const rows: Dim = sizeOf(targets.shape);
    if (typeof rows !== 'number' || typeof weight.shape[0] !== 'number')
      throw new ShapeError(`${name}: the numbers of rows and classes must be known, got ${shapes}`);
    if (rows === 0) return full(x.device, [], Number.NaN);
    const flat = flatten(bounded(name, targets, weight.shape[0], ignoreIndex));
    const inputs = [reshape(x, [rows, x.shape.at(-1)!]), weight, flat, ...(bias ? [bias] : [])];
    const total = recordOne(lossOp, inputs, { chunkRows, ignoreIndex, labelSmoothing });
    return meanLoss(total, flat, ignoreIndex);
  });
}

/** What cross-entropies take. @throws ArgumentError naming `name` */
export function checkLoss(name: string, ignoreIndex: number, labelSmoothing: number): void {
  if (!Number.isInteger(ignoreIndex))
    throw new ArgumentError(`${name}: ignoreIndex must be an integer, got ${ignoreIndex}`);
  if (!(labelSmoothing >= 0 && labelSmoothing <= 1))
    throw new ArgumentError(`${name}: labelSmoothing must be in [0, 1], got ${labelSmoothing}`);
}
