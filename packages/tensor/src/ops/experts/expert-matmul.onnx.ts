import type { OnnxLowering } from '../../graph/onnx-lowering.ts';
import { type ExpertMatmulAttributes, expertSizes } from './attributes.ts';

/** A loop of the runtime over the experts that rows name: each multiplies the rows that name it. */
export const expertMatmulOnnx: OnnxLowering<ExpertMatmulAttributes> = {
  emit(builder, [x, w, experts], { inputs, attributes: { inFirst }, outputs: [out] }) {
    const { S, N, K, M, shared } = expertSizes(inputs, { inFirst });
    const int = (value: number) => builder.constant('i64', [], [value]);
    const list = builder.reshape(builder.cast(experts!, 'i64'), [-1]);
    const named = builder.op('Max', [builder.op('Min', [list, int(N - 1)]), int(0)]);
    const active = builder.op('Unique', [named]);
    const rows = builder.cast(shared ? x! : builder.reshape(x!, [-1, K]), 'f32');
    const stored = inputs[1]!.dtype === 'f32' || inputs[1]!.dtype === 'f16' ? w! : builder.floats(w!);
    const zeros = builder.op('Expand', [builder.constant('f32', [], [0]), builder.sizes(out!.shape)]);
    const [sums] = builder.loop(
      builder.op('Size', [active]),
      [{ value: builder.reshape(zeros, [-1, M]), type: 'f32' }],
      (turn, [sum]) => {
        const expert = builder.op('Gather', [active, turn], { attributes: { axis: 0 } });
        const places = builder.op('Transpose', [builder.op('NonZero', [builder.op('Equal', [named, expert])])]);
        const own = builder.op('Squeeze', [places, builder.constant('i64', [1], [1])]);
        const from = shared ? builder.op('Div', [own, int(S)]) : own;
        const taken = builder.op('Gather', [rows, from], { attributes: { axis: 0 } });
        const matrix = builder.cast(builder.op('Gather', [stored, expert], { attributes: { axis: 0 } }), 'f32');
        const product = builder.op('Gemm', [taken, matrix], { attributes: { transB: inFirst ? 0 : 1 } });
        return { carried: [builder.op('ScatterND', [sum!, places, product])], collected: [] };
      },
    );
    return builder.reshape(sums!, out!.shape);
  },
};
