import { isFloat } from '../dtype.ts';
import { DTypeError } from '../errors.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { TensorType } from '../shape.ts';
import { cast } from './cast.ts';
import { type None, none, unary } from './define-elementwise.ts';
import { where } from './elementwise.ts';
import { erf, erfOf } from './erf.ts';
import { log1p } from './exponential.ts';

const sameFloat =
  (name: string) =>
  ([x]: readonly TensorType[]): readonly TensorType[] => {
    if (!isFloat(x!.dtype)) throw new DTypeError(`${name}: takes f32 or f16, got ${x!.dtype}`);
    return [{ shape: x!.shape, dtype: x!.dtype }];
  };

/** The larger of `x` and 0; its gradient at 0 is 0. f32 or f16. */
export const relu: (x: Tensor) => Tensor = unary({
  name: 'relu',
  takes: 'float',
  reference: (x) => Math.max(x!, 0),
  onnx: 'Relu',
  webgpu: ([x]) => `safe_max(${x}, 0.0)`,
  gradient: ([x], _, g) => [where(x!.greater(0), g, 0)],
});

const geluOp: Op<{ readonly approximate: 'none' | 'tanh' }> = defineOp({
  name: 'gelu',
  shape: sameFloat('gelu'),
  decompose([x], { approximate }) {
    const wide = cast(x!, 'f32');
    const gate =
      approximate === 'none'
        ? erf(wide.mul(Math.SQRT1_2))
        : wide
            .mul(wide)
            .mul(0.044715)
            .add(1)
            .mul(wide)
            .mul(Math.sqrt(2 / Math.PI))
            .tanh();
    return [cast(wide.mul(0.5).mul(gate.add(1)), x!.dtype)];
  },
  lower: {
    reference: {
      elementwise: ({ approximate }) =>
        approximate === 'none'
          ? (x) => 0.5 * x! * (1 + erfOf(x! * Math.SQRT1_2))
          : (x) => 0.5 * x! * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x! + 0.044715 * x! ** 3))),
    },
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit: (builder, [x], { attributes: { approximate } }) =>
        builder.op('Gelu', [x!], { attributes: { approximate } }),
    },
  },
});

/**
 * `x` times the standard normal distribution function of `x`, computed in f32; with `approximate: 'tanh'` by the formula
 * that GPT-2 was trained with. f32 or f16. Source: https://arxiv.org/abs/1606.08415
 */
export function gelu(x: Tensor, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor {
  return recordOne(geluOp, [x], { approximate: options.approximate ?? 'none' });
}

const softplusOp: Op<None> = defineOp<None>({
  name: 'softplus',
  shape: sameFloat('softplus'),
  gradient: ({ inputs: [x], outputGradients: [g] }) => [g!.mul(x!.sigmoid())],
  decompose: ([x]) => [x!.maximum(0).add(log1p(x!.abs().neg().exp()))],
  lower: {
    reference: { elementwise: () => (x) => Math.max(x!, 0) + Math.log1p(Math.exp(-Math.abs(x!))) },
  },
});

/** log(1 + exp(x)), without overflow. f32 or f16. */
export function softplus(x: Tensor): Tensor {
  return recordOne(softplusOp, [x], none);
}
