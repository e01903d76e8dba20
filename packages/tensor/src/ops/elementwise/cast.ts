import { type DType, isBlockFormat, isFloat, isStorageDType } from '../../dtype.ts';
import { DTypeError } from '../../errors.ts';
import { registerType } from '../../executors/webgpu/codegen/buffer-form.ts';
import type { OnnxBuilder } from '../../graph/onnx-lowering.ts';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';

export const castOp: Op<{ readonly to: DType }> = defineOp({
  name: 'cast',
  takes: () => true,
  shape([x], { to }) {
    if (isBlockFormat(to)) throw new DTypeError(`cast: gives no ${to}; quantize() makes blocks on the host`);
    return [{ shape: x!.shape, dtype: to }];
  },
  // gradients by values that are only stored are f32
  gradient: ({ inputs: [x], outputGradients: [g], attributes: { to } }) =>
    holdsFloats(x!.dtype) && holdsFloats(to) ? [cast(g!, isFloat(x!.dtype) ? x!.dtype : 'f32')] : [undefined],
  lower: {
    reference: {
      elementwise:
        ({ to }) =>
        (x) =>
          to === 'bool' ? Number(x !== 0) : holdsFloats(to) ? x! : Math.trunc(x!),
    },
    onnx: {
      emit(builder, [x], { inputs, attributes: { to } }) {
        if (!isStorageDType(inputs[0]!.dtype)) return to === 'bf16' ? rounded(builder, x!) : builder.cast(x!, to);
        const values = builder.floats(x!);
        return to === 'f32' ? values : to === 'bf16' ? rounded(builder, values) : builder.cast(values, to);
      },
    },
    webgpu: {
      expression: ([x], { to }, node) => {
        if (to === 'bf16') return `round_bf16(f32(${x}))`;
        const from = registerType[node.inputs[0]!.dtype];
        // by the bits: what is not a number is not 0
        if (to === 'bool') return from === 'f32' ? `u32((bitcast<u32>(${x}) << 1u) != 0u)` : `u32(${x} != ${from}(0))`;
        return from === registerType[to] ? x! : `${registerType[to]}(${x})`;
      },
    },
  },
});

/** In the runtime's graph bf16 is f32 with fewer digits. */
const rounded = (builder: OnnxBuilder, value: string) => builder.cast(builder.cast(value, 'bf16'), 'f32');

const holdsFloats = (dtype: DType) => isFloat(dtype) || isStorageDType(dtype);

/**
 * The same values in another dtype: floats to integers towards zero, to bool whether they are not 0. What an integer dtype
 * cannot hold (larger values, NaN) gives some value of it. f16 and bf16 take the nearest value, ties to even.
 * @throws DTypeError for a block format as the result
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : recordOne(castOp, [x], { to: dtype });
}

/**
 * The values of `x`, which is only stored (bf16, or block-quantised: q8_0, q4_0, q4_k, q6_k), as f32 or f16, of the same shape.
 * Products and `embedding` read such weights as they lie: only other operations need this.
 * @throws DTypeError for a tensor that can be computed with
 */
export function dequantize(x: Tensor, dtype: 'f32' | 'f16' = 'f32'): Tensor {
  if (!isStorageDType(x.dtype)) throw new DTypeError(`dequantize: takes bf16 and block formats, got ${x.dtype}`);
  return cast(x, dtype);
}
