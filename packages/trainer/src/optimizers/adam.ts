import { checkOptions, type OptionKinds, type Tensor } from '@heddle/tensor';
import type { Schedule } from '../schedules/schedule.ts';
import type { Optimizer, Parameter } from './optimizer.ts';
import {
  aboveZero,
  belowOne,
  commonKinds,
  type DecayOptions,
  decayOf,
  type LearningRateOption,
  learningRateOf,
} from './options.ts';

export interface AdamOptions extends LearningRateOption, DecayOptions {
  /** How much of the running means of gradients and of their squares a step keeps; [0.9, 0.999] where not named. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8 where not named. */
  readonly epsilon?: number;
  /** Divides by the largest second moment so far instead of the latest; false where not named. */
  readonly amsgrad?: boolean;
}

/** Running means, one per parameter: of its gradient, and of its gradient's square. */
export interface AdamState {
  readonly firstMoments: readonly Tensor[];
  readonly secondMoments: readonly Tensor[];
  /** With `amsgrad`: the largest that each value of `secondMoments` has been. */
  readonly largestMoments?: readonly Tensor[];
}

/** How the two kinds of Adam differ. */
interface AdamKind {
  readonly name: string;
  readonly weightDecay: number;
  /** Whether decay acts on the parameter itself, or through the gradient. */
  readonly decoupled: boolean;
}

/**
 * Adam as PyTorch computes it: bias-corrected moments, `epsilon` outside of the root, and `weightDecay` (0 where not named)
 * added to the gradient. Moments and arithmetic are f32 whatever the parameters are. Source: https://arxiv.org/abs/1412.6980
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adam(options: AdamOptions): Optimizer<AdamState> {
  checkOptions('adam', options, adamKinds);
  return adamOf({ name: 'adam', weightDecay: 0, decoupled: false }, options);
}

/**
 * AdamW as PyTorch computes it: Adam with decoupled weight decay, 0.01 where not named. Moments and arithmetic are f32
 * whatever the parameters are. Source: https://arxiv.org/abs/1711.05101
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adamw(options: AdamOptions): Optimizer<AdamState> {
  checkOptions('adamw', options, adamKinds);
  return adamOf({ name: 'adamw', weightDecay: 0.01, decoupled: true }, options);
}

const adamKinds: OptionKinds = { ...commonKinds, betas: 'list?', epsilon: 'number?', amsgrad: 'boolean?' };

function adamOf(kind: AdamKind, options: AdamOptions): Optimizer<AdamState> {
  const { betas = [0.9, 0.999], epsilon = 1e-8, amsgrad = false } = options;
  const [beta1, beta2] = betas;
  const schedule = learningRateOf(kind.name, options);
  belowOne(kind.name, 'betas', beta1, beta2);
  aboveZero(kind.name, 'epsilon', epsilon);
  const { weightDecay, decays } = decayOf(kind.name, options, kind.weightDecay);
  const one = (
    parameter: Parameter,
    gradient: Tensor,
    [m, v, largest]: readonly (Tensor | undefined)[],
    [stepSize, rootCorrection, keep]: readonly Tensor[],
  ) => {
    const value = parameter.value.cast('f32');
    const decaying = decays(parameter);
    const g = decaying && !kind.decoupled ? gradient.cast('f32').add(value.mul(weightDecay)) : gradient.cast('f32');
    const first = m!.add(g.sub(m!).mul(1 - beta1));
    const second = v!.mul(beta2).add(g.mul(g).mul(1 - beta2));
    const over = largest && second.maximum(largest);
    const direction = first.div((over ?? second).sqrt().div(rootCorrection!).add(epsilon));
    const kept = decaying && kind.decoupled ? value.mul(keep!) : value;
    return { value: kept.sub(direction.mul(stepSize!)).cast(parameter.value.dtype), first, second, over };
  };

  return {
    init(parameters, allocate) {
      const zeros = (moment: string) => parameters.map(({ name, value }) => allocate(`${name}.${moment}`, value.shape));
      return {
        firstMoments: zeros('firstMoment'),
        secondMoments: zeros('secondMoment'),
        ...(amsgrad && { largestMoments: zeros('largestMoment') }),
      };
    },
    learningRate: schedule,
    scalars: (step) => adamScalars(schedule, step, [beta1, beta2], weightDecay),
    update(gradients, state, parameters, { scalars }) {
      const next = parameters.map((parameter, i) => {
        const moments = [state.firstMoments[i], state.secondMoments[i], state.largestMoments?.[i]];
        return one(parameter, gradients[i]!, moments, scalars);
      });
      return {
        parameters: next.map(({ value }) => value),
        state: {
          firstMoments: next.map(({ first }) => first),
          secondMoments: next.map(({ second }) => second),
          ...(amsgrad && { largestMoments: next.map(({ over }) => over!) }),
        },
      };
    },
  };
}

/**
 * The length of a step, the correction of the root of the second moment, and what a decaying parameter keeps. They are the
 * host's: 1 - beta^t loses its digits in f32.
 */
export function adamScalars(
  schedule: Schedule,
  step: number,
  [beta1, beta2]: readonly [number, number],
  weightDecay: number,
): readonly [number, number, number] {
  const rate = schedule(step);
  return [rate / (1 - beta1 ** (step + 1)), Math.sqrt(1 - beta2 ** (step + 1)), 1 - rate * weightDecay];
}
