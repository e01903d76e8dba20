import type { OnnxLowering } from '../executors/onnx/lowering.ts';
import type { MatmulAttributes } from './matmul.ts';

/** FusedMatMul takes transposed operands as they lie. */
export const matmulOnnx: OnnxLowering<MatmulAttributes> = {
  emit(builder, [a, b], { inputs, outputs, attributes: { transposeA, transposeB } }) {
    // operands of two dtypes, and those whose sums are wanted in f32, meet in f32
    const [first, second] = [inputs[0]!.dtype, inputs[1]!.dtype];
    const dtype = first === second && outputs[0]!.dtype === first ? first : 'f32';
    const left = first === dtype ? a! : builder.cast(a!, dtype);
    const right = second === dtype ? b! : builder.cast(b!, dtype);
    const product =
      transposeA || transposeB
        ? builder.op('FusedMatMul', [left, right], {
            domain: 'com.microsoft',
            attributes: { transA: Number(transposeA), transB: Number(transposeB) },
          })
        : builder.op('MatMul', [left, right]);
    return outputs[0]!.dtype === dtype ? product : builder.cast(product, outputs[0]!.dtype);
  },
};
