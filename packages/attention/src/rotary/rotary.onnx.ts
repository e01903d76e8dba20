import type { OnnxLowering } from '@heddle/tensor';
import type { RotaryAttributes } from './rotary.ts';

/**
 * The runtime's own operator: one node where the decomposition takes about ten. It takes `[B, L, H * D]` and does not check
 * positions, so they are brought into the table first (equal nodes, which the runtime merges over layers).
 */
export const rotaryOnnx: OnnxLowering<RotaryAttributes> = {
  supports: ({ inputs: [x, , cos] }) =>
    (x!.rank === 3 || x!.rank === 4) &&
    x!.dtype === 'f32' &&
    cos!.dtype === 'f32' &&
    typeof x!.shape.at(-2) === 'number',
  emit(builder, [x, positions, cos, sin], { inputs, attributes: { interleaved, inverse } }) {
    const shape = inputs[0]!.shape;
    const [heads, dim] = shape.slice(-2) as [number, number];
    const table = inputs[2]!.shape as [number, number];
    const rows = shape.length === 3 ? [1, shape[0]!] : shape.slice(0, 2);
    const last = builder.op('Sub', [builder.cast(builder.sizes([table[0]]), 'i32'), builder.constant('i32', [1], [1])]);
    const clamped = builder.op('Max', [builder.op('Min', [positions!, last]), builder.constant('i32', [1], [0])]);
    const ids = builder.reshape(builder.cast(clamped, 'i64'), rows);
    const flat = builder.reshape(x!, [...rows, heads * dim]);
    const turned = builder.op('RotaryEmbedding', [flat, ids, cos!, inverse ? builder.op('Neg', [sin!]) : sin!], {
      domain: 'com.microsoft',
      attributes: {
        interleaved: Number(interleaved),
        num_heads: heads,
        rotary_embedding_dim: 2 * table[1] === dim ? 0 : 2 * table[1],
      },
    });
    return builder.reshape(turned, shape);
  },
};
