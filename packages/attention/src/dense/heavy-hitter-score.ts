import { defineOp, type Op, type Tensor } from '@heddle/tensor';
import type { TracedFunctions } from '../flex/trace.ts';
import { type DenseAttributes, sizesOf } from './arguments.ts';
import { plane } from './backward.ts';
import { scoresOf, seenExp } from './scores.ts';
import { keyMassWebGpu } from './wgsl/heavy-hitter-score.wgsl.ts';

/**
 * How much probability each key gets, f32 `[B, S, K]`: summed over the queries and over the heads of its group. Inputs: those of the
 * attention, then its highest scores and logarithms of sums. Probabilities are computed again from scores, a tile of keys at a time on a GPU.
 */
export function keyMassOp(functions?: TracedFunctions): Op<DenseAttributes> {
  return defineOp({
    name: 'attentionKeyMass',
    ...(functions ? { key: 'of functions' } : {}),
    shape(inputs) {
      const { B, S, K } = sizesOf(inputs);
      return [{ shape: [B, S, K], dtype: 'f32' }];
    },
    decompose(inputs, attributes) {
      const [own, softmax] = [inputs.slice(0, -1), inputs.at(-1)!];
      const { B, L, S, H, K } = sizesOf(inputs);
      const row = (index: number) => plane(softmax, index).reshape([B, H, L, 1]);
      const { scores, seen } = scoresOf(own, attributes, functions);
      const probabilities: Tensor = seenExp(scores.sub(row(0)).sub(row(1)), seen);
      return [
        probabilities
          .sum(2)
          .reshape([B, K, H / K, S])
          .sum(2)
          .permute([0, 2, 1]),
      ];
    },
    lower: { webgpu: keyMassWebGpu(functions) },
  });
}
