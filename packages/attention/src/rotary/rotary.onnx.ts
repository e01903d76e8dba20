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
    // a position that the table does not have must not pass for another; components that do not turn stay
    const inside = builder.op('Equal', [positions!, clamped]);
    const asked = builder.reshape(inside, [...rows, 1, 1]);
    const perHead = [...rows, heads, dim];
    const nan = builder.constant('f32', [], [Number.NaN]);
    const whole = builder.reshape(turned, perHead);
    if (2 * table[1] === dim) return builder.reshape(builder.op('Where', [asked, whole, nan]), shape);
    const turns = builder.constant(
      'bool',
      [dim],
      Array.from({ length: dim }, (_, d) => Number(d >= 2 * table[1])),
    );
    return builder.reshape(builder.op('Where', [builder.op('Or', [asked, turns]), whole, nan]), shape);
  },
};
