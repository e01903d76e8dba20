import { type DType, isFloat } from '../dtype.ts';
import { defineOp, type Op } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';

const wgslType: Readonly<Record<DType, string>> = { f32: 'f32', f16: 'f32', i32: 'i32', u32: 'u32', bool: 'u32' };

const castOp: Op<{ readonly to: DType }> = defineOp({
  name: 'cast',
  shape: ([x], { to }) => [{ shape: x!.shape, dtype: to }],
  gradient: ({ inputs: [x], outputGradients: [g], attributes: { to } }) =>
    isFloat(x!.dtype) && isFloat(to) ? [cast(g!, x!.dtype)] : [undefined],
  lower: {
    reference: {
      elementwise:
        ({ to }) =>
        (x) =>
          to === 'bool' ? Number(x !== 0) : isFloat(to) ? x! : Math.trunc(x!),
    },
    onnx: { emit: (builder, [x], { attributes }) => builder.cast(x!, attributes.to) },
    webgpu: {
      expression: ([x], { to }, node) => {
        const from = wgslType[node.inputs[0]!.dtype];
        // by the bits: what is not a number is not 0
        if (to === 'bool') return from === 'f32' ? `u32((bitcast<u32>(${x}) << 1u) != 0u)` : `u32(${x} != ${from}(0))`;
        return from === wgslType[to] ? x! : `${wgslType[to]}(${x})`;
      },
    },
  },
});

/**
 * The same values in another dtype: floats to integers towards zero, to bool whether they are not 0. What an integer dtype
 * cannot hold (larger values, NaN) gives some value of it.
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : recordOne(castOp, [x], { to: dtype });
}
