import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ArgumentError, DTypeError } from '../../checks/errors.ts';
import { isFloat } from '../../dtype.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Prelude } from '../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../shape.ts';
import { cast } from './cast.ts';
import { type None, none, unary } from './define-elementwise.ts';
import { erf, erfcOf } from './erf.ts';
import { log1p } from './exponential.ts';
import { where } from './where.ts';
import { wideGradient } from './wide-gradient.ts';

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
  webgpu: ([x], _, { safe_max }) => `${safe_max}(${x}, 0.0)`,
  gradient: ([x], _, g) => [where(x!.greater(0), g, 0)],
});

/** Below minus this every gate of f32 is 0, and what it is times must be finite: -Infinity times 0 is no number. */
const lowest = 1000;

/** `x` times 1/2 and the gate, which goes from 0 to 2. */
const gated = (x: Tensor, gate: (wide: Tensor) => Tensor): Tensor => {
  const wide = cast(x, 'f32');
  return cast(wide.maximum(-lowest).mul(0.5).mul(gate(wide).add(1)), x.dtype);
};
/** What is times a slope that is 0 far out must be finite there. */
const bounded = (x: Tensor, size: number) => x.maximum(-size).minimum(size);
/** The runtime's gates take what is finite at least on their flat side. */
const aboveLowest = (builder: OnnxBuilder, x: string) => builder.op('Max', [x, builder.constant('f32', [], [-lowest])]);

const geluOp: Op<None> = defineOp<None>({
  name: 'gelu',
  shape: sameFloat('gelu'),
  gradient: (context) =>
    wideGradient(geluOp, context, ([x], _, [g]) => {
      const near = bounded(x!, flatFrom);
      const density = near
        .mul(near)
        .mul(-0.5)
        .exp()
        .mul(Math.sqrt(1 / (2 * Math.PI)));
      const gate = erf(x!.mul(Math.SQRT1_2)).add(1).mul(0.5);
      return [g!.mul(gate.add(near.mul(density)))];
    }),
  decompose: ([x]) => [gated(x!, (wide) => erf(wide.mul(Math.SQRT1_2)))],
  lower: {
    reference: { elementwise: () => (x) => 0.5 * Math.max(x!, -lowest) * erfcOf(-x! * Math.SQRT1_2) },
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit: (builder, [x]) => builder.op('Gelu', [aboveLowest(builder, x!)], { attributes: { approximate: 'none' } }),
    },
  },
});

const root = Math.sqrt(2 / Math.PI);
const tanhGate = (wide: Tensor) => wide.mul(wide).mul(0.044715).add(1).mul(wide).mul(root).tanh();
const tanhText = (x: string, { safe_tanh }: Prelude) => `${safe_tanh}(${root} * ${x} * (1.0 + 0.044715 * ${x} * ${x}))`;
/** Beyond this the gate is flat, and its slope would be infinite times 0. */
const flatFrom = 50;

// one operation of GPUs, so that neither it nor its gradient stores what it goes through
const geluByTanhOp: Op<None> = defineOp<None>({
  name: 'gelu',
  shape: sameFloat('gelu'),
  gradient: ({ inputs: [x], outputGradients: [g] }) => [recordOne(geluByTanhGradientOp, [x!, g!], none)],
  decompose: ([x]) => [gated(x!, tanhGate)],
  lower: {
    reference: {
      elementwise: () => (x) => Math.max(x!, -lowest) / (1 + Math.exp(-2 * root * (x! + 0.044715 * x! ** 3))),
    },
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit: (builder, [x]) => builder.op('Gelu', [aboveLowest(builder, x!)], { attributes: { approximate: 'tanh' } }),
    },
    webgpu: {
      expression: ([x], _, __, prelude) =>
        `(0.5 * ${prelude.safe_max}(${x}, ${-lowest}.0) * (1.0 + ${tanhText(x!, prelude)}))`,
    },
  },
});

const geluByTanhGradientOp: Op<None> = defineOp<None>({
  name: 'geluGradient',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  decompose([x, g]) {
    const wide = bounded(cast(x!, 'f32'), flatFrom);
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
      expression([given, g], _, __, prelude) {
        const x = `${prelude.safe_min}(${prelude.safe_max}(${given}, ${-flatFrom}.0), ${flatFrom}.0)`;
        const gate = tanhText(x, prelude);
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
  checkArguments('gelu', 'tensor', { x });
  checkOptions('gelu', options, ['approximate']);
  const { approximate = 'none' } = options;
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new ArgumentError(`gelu: approximate must be none or tanh, got ${String(approximate)}`);
  return recordOne(approximate === 'tanh' ? geluByTanhOp : geluOp, [x], none);
}

const softplusOp: Op<None> = defineOp<None>({
  name: 'softplus',
  shape: sameFloat('softplus'),
  gradient: (context) => wideGradient(softplusOp, context, ([x], _, [g]) => [g!.mul(x!.sigmoid())]),
  decompose: ([x]) => [x!.maximum(0).add(log1p(x!.abs().neg().exp()))],
  lower: {
    reference: { elementwise: () => (x) => Math.max(x!, 0) + Math.log1p(Math.exp(-Math.abs(x!))) },
  },
});

const siluOp: Op<None> = defineOp<None>({
  name: 'silu',
  shape: sameFloat('silu'),
  gradient: (context) =>
    wideGradient(siluOp, context, ([x], _, [g]) => {
      const gate = x!.sigmoid();
      const slope = bounded(x!, lowest).mul(x!.neg().sigmoid());
      return [g!.mul(gate).mul(slope.add(1))];
    }),
  decompose([x]) {
    const wide = cast(x!, 'f32').maximum(-lowest);
    return [cast(wide.mul(wide.sigmoid()), x!.dtype)];
  },
  lower: {
    reference: { elementwise: () => (x) => Math.max(x!, -lowest) / (1 + Math.exp(-x!)) },
    // beside x itself what the runtime's sigmoid drops below -18 is nothing, and it takes one pass
    onnx: {
      supports: ({ inputs: [x] }) => x!.dtype === 'f32',
      emit(builder, [x]) {
        const least = aboveLowest(builder, x!);
        return builder.op('Mul', [least, builder.op('Sigmoid', [least])]);
      },
    },
  },
});

/** x * sigmoid(x), computed in f32. f32 or f16. Source: https://arxiv.org/abs/1702.03118 @throws DTypeError for others */
export function silu(x: Tensor): Tensor {
  checkArguments('silu', 'tensor', { x });
  return recordOne(siluOp, [x], none);
}

/** log(1 + exp(x)), without overflow. f32 or f16. @throws DTypeError for others */
export function softplus(x: Tensor): Tensor {
  checkArguments('softplus', 'tensor', { x });
  return recordOne(softplusOp, [x], none);
}
