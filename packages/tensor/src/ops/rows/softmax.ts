import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxis, type TensorType } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
import { wideGradient } from '../elementwise/wide-gradient.ts';
import { softmaxGradientWebGpu, softmaxWebGpu } from './softmax.wgsl.ts';

interface AlongAxis {
  readonly axis: number;
}

const sameFloat =
  (name: string) =>
  ([x]: readonly TensorType[]): readonly TensorType[] => {
    if (!isFloat(x!.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got ${x!.dtype}`);
    return [{ shape: x!.shape, dtype: x!.dtype }];
  };

const totalOf = (x: Tensor, axis: number) => x.sum(axis, { keepDims: true });

/** The gradient with respect to `x` from the result and the gradient with respect to it, at the same places. */
const gradientOp = (
  name: 'softmax' | 'logSoftmax',
  decompose: (y: Tensor, g: Tensor, axis: number) => Tensor,
): Op<AlongAxis> =>
  defineOp({
    name: `${name}Gradient`,
    shape: ([y]) => [{ shape: y!.shape, dtype: y!.dtype }],
    decompose: ([y, g], { axis }) => [decompose(y!, g!, axis)],
    lower: { webgpu: softmaxGradientWebGpu(name) },
  });

const softmaxGradientOp: Op<AlongAxis> = gradientOp('softmax', (y, g, axis) => {
  const weighted = g.mul(y);
  return weighted.sub(y.mul(totalOf(weighted, axis)));
});

const logSoftmaxGradientOp: Op<AlongAxis> = gradientOp('logSoftmax', (y, g, axis) =>
  g.sub(y.exp().mul(totalOf(g, axis))),
);

const softmaxOp: Op<AlongAxis> = defineOp({
  name: 'softmax',
  shape: sameFloat('softmax'),
  gradient: (context) =>
    wideGradient(softmaxOp, context, (_, [y], [g]) => [recordOne(softmaxGradientOp, [y!, g!], context.attributes)]),
  decompose([x], { axis }) {
    const wide = cast(x!, 'f32'); // f16 would round on the way, and may not hold the sum
    const e = wide.sub(wide.max(axis, { keepDims: true })).exp();
    return [cast(e.div(totalOf(e, axis)), x!.dtype)];
  },
  lower: {
    webgpu: softmaxWebGpu('softmax'),
    onnx: {
      emit: (builder, [x], { attributes }) => builder.op('Softmax', [x!], { attributes: { axis: attributes.axis } }),
    },
  },
});

/**
 * exp(x) / sum(exp(x)) along an axis, with the maximum subtracted first.
 * f32 or f16, computed in f32.
 * @throws ShapeError for an axis that is not there; DTypeError for other dtypes
 */
export function softmax(x: Tensor, axis = -1): Tensor {
  checkArguments('softmax', 'tensor', { x });
  return recordOne(softmaxOp, [x], { axis: normalizeAxis('softmax', axis, x.rank) });
}

const logSoftmaxOp: Op<AlongAxis> = defineOp({
  name: 'logSoftmax',
  shape: sameFloat('logSoftmax'),
  gradient: (context) =>
    wideGradient(logSoftmaxOp, context, (_, [y], [g]) => [
      recordOne(logSoftmaxGradientOp, [y!, g!], context.attributes),
    ]),
  decompose([x], { axis }) {
    const wide = cast(x!, 'f32');
    const centred = wide.sub(wide.max(axis, { keepDims: true }));
    return [cast(centred.sub(totalOf(centred.exp(), axis).log()), x!.dtype)];
  },
  lower: {
    webgpu: softmaxWebGpu('logSoftmax'),
    onnx: {
      emit: (builder, [x], { attributes }) => builder.op('LogSoftmax', [x!], { attributes: { axis: attributes.axis } }),
    },
  },
});

/**
 * log(softmax(x)) along an axis, without overflow.
 * f32 or f16, computed in f32.
 * @throws ShapeError for an axis that is not there; DTypeError for other dtypes
 */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  checkArguments('logSoftmax', 'tensor', { x });
  return recordOne(logSoftmaxOp, [x], { axis: normalizeAxis('logSoftmax', axis, x.rank) });
}
