import { isStorageDType } from '../../dtype.ts';
import type { OnnxLowering } from '../../graph/onnx-lowering.ts';
import { multiplyBlocks } from '../../quantized/onnx-blocks.ts';
import type { MatmulAttributes } from './attributes.ts';

/** FusedMatMul takes transposed operands as they lie; blocks that are part of the model go to MatMulNBits. */
export const matmulOnnx: OnnxLowering<MatmulAttributes> = {
  emit(builder, [a, given], { inputs, outputs, attributes: { transposeA, transposeB } }) {
    // FusedMatMul leaves sums of nothing as it found them
    if (inputs[0]!.shape.at(transposeA ? -2 : -1) === 0)
      return builder.op('Expand', [builder.constant(outputs[0]!.dtype, [], [0]), builder.sizes(outputs[0]!.shape)]);
    const isStored = isStorageDType(inputs[1]!.dtype);
    const blocks = transposeB && !transposeA && inputs[1]!.shape.length === 2 ? builder.blocks(given!) : undefined;
    if (blocks) {
      const x = inputs[0]!.dtype === 'f32' ? a! : builder.cast(a!, 'f32');
      const y = multiplyBlocks(builder, x, inputs[0]!.shape.length, blocks);
      return outputs[0]!.dtype === 'f32' ? y : builder.cast(y, outputs[0]!.dtype);
    }
    const b = isStored ? builder.floats(given!) : given;
    // operands of two dtypes, and those whose sums are wanted in f32, meet in f32
    const [first, second] = [inputs[0]!.dtype, isStored ? 'f32' : inputs[1]!.dtype];
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
