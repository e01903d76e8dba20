import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { ArgumentError, DTypeError, ShapeError } from '../../checks/errors.ts';
import { divideDims, multiplyDims } from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape, shapesEqual, sizeOf } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { reshape } from '../movement/movement.ts';
import { layerNormWebGpu } from './layer-norm.wgsl.ts';
import { normGradients, standardize } from './norm-gradient.ts';
import { squareScale } from './square-scale.ts';

interface Epsilon {
  readonly epsilon: number;
}

// inputs: x, and weight, and bias
const layerNormOp: Op<Epsilon> = defineOp<Epsilon>({
  name: 'layerNorm',
  shape([x, ...affine]) {
    if (!isFloat(x!.dtype)) throw new DTypeError(`layerNorm: takes f32 or f16, got ${x!.dtype}`);
    if (x!.shape.length === 0) throw new ShapeError('layerNorm: takes at least one axis, got a scalar');
    for (const { shape } of affine)
      if (!shapesEqual(shape, x!.shape.slice(-1)))
        throw new ShapeError(
          `layerNorm: weight and bias must be [E] for x [..., E], got ${formatShape(shape)} for ${formatShape(x!.shape)}`,
        );
    return [{ shape: x!.shape, dtype: x!.dtype }];
  },
  gradient: ({ inputs: [x, weight, bias], outputGradients: [g], needs, attributes: { epsilon } }) =>
    normGradients({ x: x!, weight, bias }, g!, needs, { centred: true, epsilon }),
  decompose([x, weight, bias], { epsilon }) {
    const { unit } = standardize(x!, { centred: true, epsilon });
    const scaled = weight ? unit.mul(weight) : unit;
    return [cast(bias ? scaled.add(bias) : scaled, x!.dtype)];
  },
  lower: {
    webgpu: layerNormWebGpu,
    onnx: {
      supports: ({ inputs }) =>
        inputs.every(({ dtype }) => dtype === 'f32') &&
        typeof inputs[0]!.shape.at(-1) === 'number' &&
        inputs[0]!.shape.at(-1) !== 0,
      emit(builder, [x, weight, bias], { inputs, attributes: { epsilon } }) {
        const width = inputs[0]!.shape.at(-1) as number;
        const gain = weight ?? builder.constant('f32', [width], new Array<number>(width).fill(1));
        const scale = squareScale(epsilon);
        const scaled = builder.op('Mul', [x!, builder.constant('f32', [], [Math.sqrt(scale)])]);
        return builder.op('LayerNormalization', bias ? [scaled, gain, bias] : [scaled, gain], {
          attributes: { axis: -1, epsilon: { float: epsilon * scale } },
        });
      },
    },
  },
});

/**
 * Normalisation over the last axis: (x - mean) / sqrt(variance + epsilon), times `weight` and plus `bias` where there are any;
 * computed in f32, of values up to 1e30 where epsilon is not below 1e-6. `x` is `[..., E]`, `weight` and `bias` are `[E]`; the result has the dtype of `x`.
 * Source: https://arxiv.org/abs/1607.06450
 * @throws ShapeError, DTypeError; ArgumentError for a bias without a weight
 */
export function layerNorm(x: Tensor, weight?: Tensor, bias?: Tensor, epsilon = 1e-5): Tensor {
  checkArguments('layerNorm', 'tensor', { x });
  checkArguments('layerNorm', 'tensor?', { weight, bias });
  checkArguments('layerNorm', 'number', { epsilon });
  if (bias && !weight) throw new ArgumentError('layerNorm: a bias needs a weight');
  return recordOne(layerNormOp, [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])], { epsilon });
}

/**
 * Normalisation of groups of channels over their channels and all places: `x` is `[N, C, ...]`, `weight` and `bias`, where
 * there are any, are `[C]`; computed in f32. Source: https://arxiv.org/abs/1803.08494
 * @throws ShapeError where the channels do not divide into the groups, or weight and bias are not `[C]`; DTypeError
 */
export function groupNorm(x: Tensor, groups: number, weight?: Tensor, bias?: Tensor, epsilon = 1e-5): Tensor {
  return calledAs('groupNorm', () => {
    checkArguments('groupNorm', 'tensor', { x });
    checkArguments('groupNorm', 'tensor?', { weight, bias });
    checkArguments('groupNorm', 'number', { epsilon });
    const channels = x.shape[1];
    if (channels === undefined) throw new ShapeError(`groupNorm: takes [N, C, ...], got ${formatShape(x.shape)}`);
    if (!isFloat(x.dtype)) throw new DTypeError(`groupNorm: takes f32 or f16, got ${x.dtype}`);
    const each = Number.isInteger(groups) && groups > 0 ? divideDims(channels, groups) : undefined;
    if (each === undefined)
      throw new ShapeError(
        `groupNorm: ${channels} channels of ${formatShape(x.shape)} do not divide into ${groups} groups`,
      );
    for (const affine of [weight, bias])
      if (affine && !shapesEqual(affine.shape, [channels]))
        throw new ShapeError(`groupNorm: weight and bias must be [${channels}], got ${formatShape(affine.shape)}`);
    const places = x.shape.slice(2);
    const grouped = reshape(cast(x, 'f32'), [x.shape[0]!, groups, multiplyDims(each, sizeOf(places))]);
    const unit = reshape(layerNorm(grouped, undefined, undefined, epsilon), x.shape);
    const perChannel = (affine: Tensor) => reshape(affine, [channels, ...places.map(() => 1)]);
    const scaled = weight ? unit.mul(perChannel(weight)) : unit;
    return cast(bias ? scaled.add(perChannel(bias)) : scaled, x.dtype);
  });
}
