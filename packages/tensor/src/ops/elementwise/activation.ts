import { isFloat } from '../../dtype.ts';
import { ArgumentError, DTypeError } from '../../errors.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { TensorType } from '../../shape.ts';
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

/** `x` times 1/2 and the gate, which goes from 0 to 2. */
const gated = (x: Tensor, gate: (wide: Tensor) => Tensor): Tensor => {
  const wide = cast(x, 'f32');
  return cast(wide.mul(0.5).mul(gate(wide).add(1)), x.dtype);
};

const geluOp: Op<None> = defineOp<None>({
  name: 'gelu',
  shape: sameFloat('gelu'),
  decompose: ([x]) => [gated(x!, (wide) => erf(wide.mul(Math.SQRT1_2)))],
  lower: {
    reference: { elementwise: () => (x) => 0.5 * x! * (1 + erfOf(x! * Math.SQRT1_2)) },
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit: (builder, [x]) => builder.op('Gelu', [x!], { attributes: { approximate: 'none' } }),
    },
  },
});

const root = Math.sqrt(2 / Math.PI);
const tanhGate = (wide: Tensor) => wide.mul(wide).mul(0.044715).add(1).mul(wide).mul(root).tanh();
const tanhText = (x: string) => `safe_tanh(${root} * ${x} * (1.0 + 0.044715 * ${x} * ${x}))`;

// one operation of GPUs, so that neither it nor its gradient stores what it goes through
const geluByTanhOp: Op<None> = defineOp<None>({
  name: 'gelu',
  shape: sameFloat('gelu'),
  gradient: ({ inputs: [x], outputGradients: [g] }) => [recordOne(geluByTanhGradientOp, [x!, g!], none)],
  decompose: ([x]) => [gated(x!, tanhGate)],
  lower: {
    reference: { elementwise: () => (x) => 0.5 * x! * (1 + Math.tanh(root * (x! + 0.044715 * x! ** 3))) },
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit: (builder, [x]) => builder.op('Gelu', [x!], { attributes: { approximate: 'tanh' } }),
    },
    webgpu: { expression: ([x]) => `(0.5 * ${x} * (1.0 + ${tanhText(x!)}))` },
  },
});

const geluByTanhGradientOp: Op<None> = defineOp<None>({
  name: 'geluGradient',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  decompose([x, g]) {
    const wide = cast(x!, 'f32');
    const gate = tanhGate(wide);
    const slope = wide
      .mul(wide)
      .mul(3 * 0.044715)
      .add(1)
      .mul(root);
    const by = gate.add(1).add(wide.mul(slope).mul(gate.mul(gate).neg().add(1)));
    return [cast(cast(g!, 'f32').mul(0.5).mul(by), x!.dtype)];
  },
  lower: {
    webgpu: {
      expression([x, g]) {
        const gate = tanhText(x!);
        const slope = `(${root} * (1.0 + ${3 * 0.044715} * ${x} * ${x}))`;
        return `(0.5 * ${g} * (1.0 + ${gate} + ${x} * ${slope} * (1.0 - ${gate} * ${gate})))`;
      },
    },
  },
});

/**
 * `x` times the standard normal distribution function of `x`, computed in f32; with `approximate: 'tanh'` by the formula
 * that GPT-2 was trained with. f32 or f16. Source: https://arxiv.org/abs/1606.08415
 * @throws DTypeError for other dtypes; ArgumentError for another `approximate`
 */
export function gelu(x: Tensor, options: { readonly approximate?: 'none' | 'tanh' } = {}): Tensor {
  const { approximate = 'none' } = options;
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new ArgumentError(`gelu: approximate must be none or tanh, got ${String(approximate)}`);
  return recordOne(approximate === 'tanh' ? geluByTanhOp : geluOp, [x], none);
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
