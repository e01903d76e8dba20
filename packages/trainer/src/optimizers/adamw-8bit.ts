import { ArgumentError, checkOptions, type Tensor } from '@heddle/tensor';
import { type AdamOptions, adamScalars } from './adam.ts';
import { blockwiseSizes } from './blockwise.ts';
import { type Moments8bit, recordMoments8bit } from './moments-8bit.ts';
import type { Optimizer } from './optimizer.ts';
import { aboveZero, belowOne, commonKinds, decayOf, learningRateOf } from './options.ts';

/** Options of `adamw8bit`. */
export interface AdamW8bitOptions extends Omit<AdamOptions, 'amsgrad'> {
  /** Parameters of fewer values keep f32 moments: they weigh little, and norms and biases need them most; 4096 where not named. */
  readonly minimumSize?: number;
}

/** The moments of a parameter: both in one byte a value, or in f32 where there are few. */
export type MomentsOf8Bits = Moments8bit | { readonly first: Tensor; readonly second: Tensor };

/**
 * AdamW whose moments take a byte a value between steps, in blocks of 256 that share a scale: 2.04 bytes of state per value
 * instead of 8. A step computes in f32, on a GPU in one kernel beside the update. Source: https://arxiv.org/abs/2110.02861 (blocks;
 * the code is a root instead of a table)
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adamw8bit(options: AdamW8bitOptions): Optimizer<readonly MomentsOf8Bits[]> {
  checkOptions('adamw8bit', options, { ...commonKinds, betas: 'list?', epsilon: 'number?', minimumSize: 'number?' });
  const { betas: [beta1, beta2] = [0.9, 0.999], epsilon = 1e-8, minimumSize = 4096 } = options;
  const schedule = learningRateOf('adamw8bit', options);
  belowOne('adamw8bit', 'betas', beta1, beta2);
  aboveZero('adamw8bit', 'epsilon', epsilon);
  if (!(minimumSize >= 0)) throw new ArgumentError(`adamw8bit: minimumSize must not be negative, got ${minimumSize}`);
  const { weightDecay, decays } = decayOf('adamw8bit', options, 0.01);
  const momentsAfter = (g: Tensor, before: MomentsOf8Bits, rootCorrection: Tensor) => {
    if ('codes' in before) return recordMoments8bit(g, before, rootCorrection, { betas: [beta1, beta2], epsilon });
    const first = before.first.add(g.sub(before.first).mul(1 - beta1));
    const second = before.second.mul(beta2).add(g.mul(g).mul(1 - beta2));
    return { first, second, direction: first.div(second.sqrt().div(rootCorrection).add(epsilon)) };
  };
  return {
    init: (parameters, allocate) =>
      parameters.map(({ name, value }) => {
        const shape = value.shape as readonly number[];
        const count = shape.reduce((a, b) => a * b, 1);
        if (count < minimumSize)
          return { first: allocate(`${name}.firstMoment`, shape), second: allocate(`${name}.secondMoment`, shape) };
        const { words, blocks } = blockwiseSizes(count);
        return {
          codes: allocate(`${name}.moments.codes`, [2, words], 'u32'),
          scales: allocate(`${name}.moments.scales`, [2, blocks]),
        };
      }),
    learningRate: schedule,
    scalars: (step) => adamScalars(schedule, step, [beta1, beta2], weightDecay),
    update(gradients, state, parameters, { scalars: [stepSize, rootCorrection, keep] }) {
      const moments: MomentsOf8Bits[] = [];
      const next = parameters.map((parameter, i) => {
        const { direction, ...after } = momentsAfter(gradients[i]!.cast('f32'), state[i]!, rootCorrection!);
        moments.push(after);
        const value = parameter.value.cast('f32');
        const kept = decays(parameter) ? value.mul(keep!) : value;
        return kept.sub(direction.mul(stepSize!)).cast(parameter.value.dtype);
      });
      return { parameters: next, state: moments };
    },
  };
}
