import { isFloat } from '../../dtype.ts';
import { DTypeError } from '../../errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { normalizeAxis, type TensorType } from '../../shape.ts';
import { cast } from '../elementwise/cast.ts';
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

/** The sum along an axis in f32: it need not fit into f16. */
const totalOf = (x: Tensor, axis: number) => cast(x, 'f32').sum(axis, { keepDims: true });

/** The gradient by `x` from the result and the gradient by it, at the same places. */
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
  return cast(cast(weighted, 'f32').sub(y.mul(totalOf(weighted, axis))), y.dtype);
});

const logSoftmaxGradientOp: Op<AlongAxis> = gradientOp('logSoftmax', (y, g, axis) =>
  cast(cast(g, 'f32').sub(y.exp().mul(totalOf(g, axis))), y.dtype),
);

const softmaxOp: Op<AlongAxis> = defineOp({
  name: 'softmax',
  shape: sameFloat('softmax'),
  gradient: ({ outputs: [y], outputGradients: [g], attributes }) => [
    recordOne(softmaxGradientOp, [y!, g!], attributes),
  ],
  decompose([x], { axis }) {
    const e = x!.sub(x!.max(axis, { keepDims: true })).exp();
    return [cast(cast(e, 'f32').div(totalOf(e, axis)), x!.dtype)];
  },
  lower: {
    webgpu: softmaxWebGpu('softmax'),
    onnx: {
      emit: (builder, [x], { attributes }) => builder.op('Softmax', [x!], { attributes: { axis: attributes.axis } }),
    },
  },
});

/** exp(x) / sum(exp(x)) along an axis, with the maximum subtracted first. */
export function softmax(x: Tensor, axis = -1): Tensor {
  return recordOne(softmaxOp, [x], { axis: normalizeAxis('softmax', axis, x.rank) });
}

const logSoftmaxOp: Op<AlongAxis> = defineOp({
  name: 'logSoftmax',
  shape: sameFloat('logSoftmax'),
  gradient: ({ outputs: [y], outputGradients: [g], attributes }) => [
    recordOne(logSoftmaxGradientOp, [y!, g!], attributes),
  ],
  decompose([x], { axis }) {
    const centred = x!.sub(x!.max(axis, { keepDims: true }));
    return [cast(cast(centred, 'f32').sub(totalOf(centred.exp(), axis).log()), x!.dtype)];
  },
  lower: {
    webgpu: softmaxWebGpu('logSoftmax'),
    onnx: {
      emit: (builder, [x], { attributes }) => builder.op('LogSoftmax', [x!], { attributes: { axis: attributes.axis } }),
    },
  },
});

/** log(softmax(x)) along an axis, without overflow. */
export function logSoftmax(x: Tensor, axis = -1): Tensor {
  return recordOne(logSoftmaxOp, [x], { axis: normalizeAxis('logSoftmax', axis, x.rank) });
}
