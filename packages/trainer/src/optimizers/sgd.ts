import { ArgumentError, checkOptions, type Tensor } from '@heddle/tensor';
import type { Optimizer } from './optimizer.ts';
import {
  commonKinds,
  type DecayOptions,
  decayOf,
  fromZero,
  type LearningRateOption,
  learningRateOf,
} from './options.ts';

export interface SgdOptions extends LearningRateOption, DecayOptions {
  /** How much of the running sum of gradients a step keeps; 0 where not named, and then there is no such sum. */
  readonly momentum?: number;
  /** How much of each gradient after the first is left out of that sum; 0 where not named. */
  readonly dampening?: number;
  /** Looks one step of the momentum ahead; false where not named. */
  readonly nesterov?: boolean;
}

/** Running sums of gradients, one per parameter; empty without momentum. */
export interface SgdState {
  readonly momenta: readonly Tensor[];
}

/**
 * Stochastic gradient descent as PyTorch computes it, with momentum and Nesterov's; `weightDecay` (0 where not named) is added
 * to the gradient. State and arithmetic are f32. Source: https://proceedings.mlr.press/v28/sutskever13.html
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function sgd(options: SgdOptions): Optimizer<SgdState> {
  checkOptions('sgd', options, { ...commonKinds, momentum: 'number?', dampening: 'number?', nesterov: 'boolean?' });
  const { nesterov = false } = options;
  const schedule = learningRateOf('sgd', options);
  const momentum = fromZero('sgd', 'momentum', options.momentum ?? 0);
  const dampening = fromZero('sgd', 'dampening', options.dampening ?? 0);
  const { weightDecay, decays } = decayOf('sgd', options, 0);
  if (nesterov && (momentum === 0 || dampening !== 0))
    throw new ArgumentError(`sgd: nesterov takes a momentum and no dampening, got ${momentum} and ${dampening}`);
  return {
    init: (parameters, allocate) => ({
      momenta: momentum > 0 ? parameters.map(({ name, value }) => allocate(`${name}.momentum`, value.shape)) : [],
    }),
    learningRate: schedule,
    // the first gradient is not dampened
    scalars: (step) => [schedule(step), step === 0 ? 1 : 1 - dampening],
    update(gradients, { momenta }, parameters, { scalars: [rate, share] }) {
      const nextMomenta: Tensor[] = [];
      const next = parameters.map((parameter, i) => {
        const value = parameter.value.cast('f32');
        const gradient = gradients[i]!.cast('f32');
        const g = decays(parameter) ? gradient.add(value.mul(weightDecay)) : gradient;
        let direction = g;
        if (momentum > 0) {
          const velocity = momenta[i]!.mul(momentum).add(dampening > 0 ? g.mul(share!) : g);
          nextMomenta.push(velocity);
          direction = nesterov ? g.add(velocity.mul(momentum)) : velocity;
        }
        return value.sub(direction.mul(rate!)).cast(parameter.value.dtype);
      });
      return { parameters: next, state: { momenta: nextMomenta } };
    },
  };
}
