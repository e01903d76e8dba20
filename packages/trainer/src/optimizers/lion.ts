import { checkOptions, sign, type Tensor } from '@heddle/tensor';
import type { Optimizer } from './optimizer.ts';
import {
  belowOne,
  commonKinds,
  type DecayOptions,
  decayOf,
  type LearningRateOption,
  learningRateOf,
} from './options.ts';

export interface LionOptions extends LearningRateOption, DecayOptions {
  /** How much of the momentum the direction of a step takes, and how much the momentum keeps; [0.9, 0.99] where not named. */
  readonly betas?: readonly [number, number];
}

/** Running means of gradients, one per parameter. */
export interface LionState {
  readonly momenta: readonly Tensor[];
}

/**
 * Lion: every value moves by the learning rate, in the direction that gradient and momentum agree on. Decay is decoupled, 0
 * where not named. State and arithmetic are f32. Source: https://arxiv.org/abs/2302.06675
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function lion(options: LionOptions): Optimizer<LionState> {
  checkOptions('lion', options, { ...commonKinds, betas: 'list?' });
  const { betas: [beta1, beta2] = [0.9, 0.99] } = options;
  const schedule = learningRateOf('lion', options);
  belowOne('lion', 'betas', beta1, beta2);
  const { weightDecay, decays } = decayOf('lion', options, 0);
  return {
    init: (parameters, allocate) => ({
      momenta: parameters.map(({ name, value }) => allocate(`${name}.momentum`, value.shape)),
    }),
    learningRate: schedule,
    scalars: (step) => [schedule(step), 1 - schedule(step) * weightDecay],
    update(gradients, { momenta }, parameters, { scalars: [rate, keep] }) {
      const next = parameters.map((parameter, i) => {
        const [g, momentum] = [gradients[i]!.cast('f32'), momenta[i]!];
        const value = parameter.value.cast('f32');
        const direction = sign(momentum.mul(beta1).add(g.mul(1 - beta1)));
        const kept = decays(parameter) ? value.mul(keep!) : value;
        return {
          value: kept.sub(direction.mul(rate!)).cast(parameter.value.dtype),
          momentum: momentum.mul(beta2).add(g.mul(1 - beta2)),
        };
      });
      return {
        parameters: next.map(({ value }) => value),
        state: { momenta: next.map(({ momentum }) => momentum) },
      };
    },
  };
}
