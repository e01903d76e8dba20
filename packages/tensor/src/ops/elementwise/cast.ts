import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { DTypeError } from '../../checks/errors.ts';
import { type DType, isBlockFormat, isFloat, isStorageDType } from '../../dtype.ts';
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
  // gradients with respect to values that are storage-only are f32
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
        const { dtype } = inputs[0]!;
        const values = isStorageDType(dtype) ? builder.floats(x!) : x!;
        if (to === 'bf16') return rounded(builder, values, 'bf16');
        if (isStorageDType(dtype) && to === 'f32') return values;
        if (to === 'f16' && dtype !== 'bool') return builder.cast(rounded(builder, values, 'f16'), 'f16');
        if (dtype !== 'f16' || isFloat(to)) return builder.cast(values, to);
        // without an operation in between it would drop these too
        const wide = builder.op('Clip', [builder.cast(values, 'f32')]);
        return builder.cast(rounded(builder, wide, 'f16'), to);
      },
    },
    webgpu: {
      expression: ([x], { to }, node, prelude) => {
        if (to === 'bf16') return `${prelude.round_bf16}(f32(${x}))`;
        const { dtype } = node.inputs[0]!;
        const from = registerType[dtype];
        if (to === 'f16')
          return dtype === 'bool' ? `f32(${x})` : `${prelude.round_f16}(${from === 'f32' ? x : `f32(${x})`})`;
        // a value that nobody has stored yet is wider than its f16
        const value = dtype === 'f16' && !isFloat(to) ? `${prelude.round_f16}(${x})` : x!;
        // by the bits: what is not a number is not 0
        if (to === 'bool')
          return from === 'f32' ? `u32((bitcast<u32>(${value}) << 1u) != 0u)` : `u32(${x} != ${from}(0))`;
        return from === registerType[to] ? value : `${registerType[to]}(${value})`;
      },
    },
  },
});

/**
 * f32 with the digits of fewer bits: what bf16 is in the runtime's graph. The runtime computes f16 in f32 and drops a cast to f16
 * in front of that; a cast there and back it keeps.
 */
const rounded = (builder: OnnxBuilder, value: string, to: 'bf16' | 'f16') =>
  builder.cast(builder.cast(builder.cast(value, 'f32'), to), 'f32');

const holdsFloats = (dtype: DType) => isFloat(dtype) || isStorageDType(dtype);

/**
 * The same values in another dtype: floats to integers towards zero, to bool whether they are not 0. What an integer dtype
 * cannot hold (larger values, NaN) gives some value of it. f16 and bf16 take the nearest value, ties to even, on every executor,
 * also between operations that share a kernel (whose f16 results are rounded only where they are stored).
 * @throws DTypeError for a block format as the result
 */
export function cast(x: Tensor, dtype: DType): Tensor {
  checkArguments('cast', 'tensor', { x });
  return x.dtype === dtype ? x : recordOne(castOp, [x], { to: dtype });
}

/**
 * The values of `x`, which is storage-only (bf16, or block-quantised: q8_0, q4_0, q4_k, q6_k), as f32 or f16, of the same shape.
 * Products and `embedding` read such weights as they lie: only other operations need this.
 * @throws DTypeError for a tensor that can be computed with
 */
export function dequantize(x: Tensor, dtype: 'f32' | 'f16' = 'f32'): Tensor {
  return calledAs('dequantize', () => {
    checkArguments('dequantize', 'tensor', { x });
    if (!isStorageDType(x.dtype)) throw new DTypeError(`dequantize: takes bf16 and block formats, got ${x.dtype}`);
    return cast(x, dtype);
  });
}
