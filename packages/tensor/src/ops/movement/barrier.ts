import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { type None, none } from '../elementwise/define-elementwise.ts';

/**
 * The first input, from the time at which the second is there.
 *
 * It is an operation of its own to the graph, so what is computed from it is never merged with what was computed from its
 * input. On WebGPU it shares the buffer of its input, and kernels run in the order of the graph. ONNX Runtime merges equal
 * nodes and orders them as it likes: there nothing that it could leave out is appended from the second input.
 */
const barrierOp: Op<None> = defineOp<None>({
  name: 'barrier',
  shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
  gradient: ({ outputGradients: [g] }) => [g, undefined],
  lower: {
    reference: { run: ({ inputs: [x] }) => [x!.data] },
    onnx: {
      emit(builder, [x, after], { inputs: [input, signal] }) {
        const flat = builder.constant('i64', [1], [-1]);
        const zero = builder.constant('i64', [1], [0]);
        const none = builder.op('Slice', [builder.op('Reshape', [after!, flat]), zero, zero]);
        const typed = signal!.dtype === input!.dtype ? none : builder.cast(none, input!.dtype);
        const joined = builder.op('Concat', [builder.op('Reshape', [x!, flat]), typed], { attributes: { axis: 0 } });
        return builder.op('Reshape', [joined, builder.sizes(input!.shape)], { attributes: { allowzero: 1 } });
      },
    },
    webgpu: { at: ({ read }, coordinates) => read(0, coordinates), keepsOrder: true },
  },
});

/** `x`, not before `after` is computed, and apart from all that is computed from `x` itself. */
export function barrier(x: Tensor, after: Tensor): Tensor {
  return recordOne(barrierOp, [x, after], none);
}
