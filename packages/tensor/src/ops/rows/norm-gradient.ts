import { defineOp, type Op } from '../../graph/op.ts';
import { record } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { TensorType } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { mean } from '../reduce/reduce.ts';
import { sumTo } from '../reduce/sum-to.ts';
import { normGradientWebGpu } from './norm-gradient.wgsl.ts';
import { scaledSquares, squareScale } from './square-scale.ts';

/** What a norm over the last axis has gradients with respect to. */
type NormInput = 'x' | 'weight' | 'bias';

export interface NormGradientAttributes {
  /** Whether the mean is subtracted first: a layer norm, else a root-mean-square norm. */
  readonly centred: boolean;
  readonly epsilon: number;
  /** Which gradients are computed, one output each, in the order x, weight, bias. */
  readonly by: readonly NormInput[];
  readonly biasType: TensorType['dtype'];
}

/** `x` in f32, over its last axis centred where that is asked for and of mean square 1, and the inverse of what it was divided by. */
export function standardize(
  x: Tensor,
  { centred, epsilon }: Pick<NormGradientAttributes, 'centred' | 'epsilon'>,
): { readonly unit: Tensor; readonly inverse: Tensor } {
  const wide = cast(x, 'f32');
  const distance = centred ? wide.sub(mean(wide, -1, { keepDims: true })) : wide;
  const scale = squareScale(epsilon);
  const squares = mean(scaledSquares(distance, epsilon), -1, { keepDims: true });
  const inverse = squares
    .add(epsilon * scale)
    .rsqrt()
    .mul(Math.sqrt(scale));
  return { unit: distance.mul(inverse), inverse };
}

// inputs: x [..., E], the gradient with respect to the output [..., E], and the weight [E] where there is one
const normGradientOp: Op<NormGradientAttributes> = defineOp<NormGradientAttributes>({
  name: 'normGradient',
  shape: ([x, , weight], { by, biasType }) =>
    by.map((input) =>
      input === 'x'
        ? { shape: x!.shape, dtype: x!.dtype }
        : { shape: x!.shape.slice(-1), dtype: input === 'weight' ? weight!.dtype : biasType },
    ),
  decompose([x, g, weight], attributes) {
    const { centred, by, biasType } = attributes;
    const { unit, inverse } = standardize(x!, attributes);
    const incoming = cast(g!, 'f32');
    const gradients: Record<NormInput, () => Tensor> = {
      x() {
        const scaled = weight ? incoming.mul(weight) : incoming;
        const across = centred ? scaled.sub(mean(scaled, -1, { keepDims: true })) : scaled;
        const along = mean(scaled.mul(unit), -1, { keepDims: true });
        return cast(across.sub(unit.mul(along)).mul(inverse), x!.dtype);
      },
      weight: () => cast(sumTo(incoming.mul(unit), weight!.shape), weight!.dtype),
      bias: () => cast(sumTo(incoming, x!.shape.slice(-1)), biasType),
    };
    return by.map((input) => gradients[input]());
  },
  lower: { webgpu: normGradientWebGpu },
});

/** The gradients of a norm over the last axis that are needed, in the order of its inputs `x`, `weight` and `bias`. */
export function normGradients(
  { x, weight, bias }: { readonly x: Tensor; readonly weight?: Tensor | undefined; readonly bias?: Tensor | undefined },
  gradient: Tensor,
  needs: readonly boolean[],
  norm: Pick<NormGradientAttributes, 'centred' | 'epsilon'>,
): (Tensor | undefined)[] {
  const there: NormInput[] = ['x', ...(weight ? (['weight'] as const) : []), ...(bias ? (['bias'] as const) : [])];
  const by = there.filter((_, i) => needs[i]);
  const inputs = weight ? [x, gradient, weight] : [x, gradient];
  const found = record(normGradientOp, inputs, { ...norm, by, biasType: bias?.dtype ?? 'f32' });
  return there.map((input) => found[by.indexOf(input)]);
}
