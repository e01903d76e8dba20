import type { OnnxLowering } from '../executors/onnx/lowering.ts';
import type { MatmulAttributes } from './matmul.ts';

/** FusedMatMul takes transposed operands as they lie; operands of two dtypes meet in f32. */
export const matmulOnnx: OnnxLowering<MatmulAttributes> = {
  emit(builder, [a, b], { inputs, outputs, attributes: { transposeA, transposeB } }) {
    const { dtype } = outputs[0]!;
    const left = inputs[0]!.dtype === dtype ? a! : builder.cast(a!, dtype);
    const right = inputs[1]!.dtype === dtype ? b! : builder.cast(b!, dtype);
    if (!transposeA && !transposeB) return builder.op('MatMul', [left, right]);
    return builder.op('FusedMatMul', [left, right], {
      domain: 'com.microsoft',
      attributes: { transA: Number(transposeA), transB: Number(transposeB) },
    });
  },
};
