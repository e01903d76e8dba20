import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError, ShapeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, shapesEqual } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { normGradients, standardize } from './norm-gradient.ts';
import { rmsNormWebGpu } from './rms-norm.wgsl.ts';
import { squareScale } from './square-scale.ts';

export const rmsNormOp: Op<{ readonly epsilon: number }> = defineOp({
  name: 'rmsNorm',
  shape([x, weight]) {
    if (!isFloat(x!.dtype)) throw new DTypeError(`rmsNorm: takes f32 or f16, got ${x!.dtype}`);
    if (x!.shape.length === 0) throw new ShapeError('rmsNorm: takes at least one axis, got a scalar');
    if (!shapesEqual(weight!.shape, x!.shape.slice(-1)))
      throw new ShapeError(
        `rmsNorm: the weight must be [E] for x [..., E], got ${formatShape(weight!.shape)} for ${formatShape(x!.shape)}`,
      );
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  gradient: ({ inputs: [x, weight], outputGradients: [g], needs, attributes: { epsilon } }) =>
    normGradients({ x: x!, weight }, g!, needs, { centred: false, epsilon }),
  decompose: ([x, weight], { epsilon }) => [
    cast(standardize(x!, { centred: false, epsilon }).unit.mul(weight!), x!.dtype),
  ],
  lower: {
    webgpu: rmsNormWebGpu,
    onnx: {
      supports: ({ inputs: [x, weight] }) => x!.dtype === 'f32' && weight!.dtype === 'f32' && weight!.shape[0] !== 0,
      emit(builder, [x, weight], { attributes: { epsilon } }) {
        const scale = squareScale(epsilon);
        const scaled = builder.op('Mul', [x!, builder.constant('f32', [], [Math.sqrt(scale)])]);
        return builder.op('SimplifiedLayerNormalization', [scaled, weight!], {
          attributes: { axis: -1, epsilon: { float: epsilon * scale }, stash_type: 1 },
        });
      },
    },
  },
});

/**
 * Root-mean-square normalisation over the last axis: x / sqrt(mean(x^2) + epsilon) * weight, statistics in f32,
 * of values up to 1e30 where epsilon is not below the default.
 * `x` is `[..., E]`, `weight` is `[E]`; the result has the dtype of `x`. Source: https://arxiv.org/abs/1910.07467
 * @throws ShapeError, DTypeError
 */
export function rmsNorm(x: Tensor, weight: Tensor, epsilon = 1e-6): Tensor {
  checkArguments('rmsNorm', 'tensor', { x, weight });
  checkArguments('rmsNorm', 'number', { epsilon });
  return recordOne(rmsNormOp, [x, weight], { epsilon });
}
