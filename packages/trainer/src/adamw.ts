import { ArgumentError, type Tensor } from '@heddle/tensor';
import type { Optimizer, Parameter } from './optimizer.ts';
import { constantSchedule, type Schedule } from './schedules.ts';

export interface AdamWOptions {
  readonly learningRate: number | Schedule;
  /** How much of the running means of gradients and of their squares a step keeps; [0.9, 0.999] where not named. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second moment; 1e-8 where not named. */
  readonly epsilon?: number;
  /** Share of a parameter that a step takes away, times the learning rate; 0.01 where not named. */
  readonly weightDecay?: number;
  /** Which parameters decay; those of two or more dimensions where not named (no norms, no biases). */
  readonly decays?: (parameter: Parameter) => boolean;
}

/** Running means, one per parameter: of its gradient, and of its gradient's square. */
export interface AdamWState {
  readonly firstMoments: readonly Tensor[];
  readonly secondMoments: readonly Tensor[];
}

/**
 * AdamW as PyTorch computes it: decoupled weight decay, bias-corrected moments, `epsilon` outside of the root. Moments and
 * arithmetic are f32 whatever the parameters are. Source: https://arxiv.org/abs/1711.05101
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adamw(options: AdamWOptions): Optimizer<AdamWState> {
  const { betas: [beta1, beta2] = [0.9, 0.999], epsilon = 1e-8, weightDecay = 0.01 } = options;
  const { decays = ({ value }) => value.rank >= 2 } = options;
  if (typeof options.learningRate === 'number' && !(options.learningRate >= 0))
    throw new ArgumentError(`adamw: learningRate must not be negative, got ${options.learningRate}`);
  const schedule =
    typeof options.learningRate === 'number' ? constantSchedule(options.learningRate) : options.learningRate;
  for (const beta of [beta1, beta2])
    if (!(beta >= 0 && beta < 1)) throw new ArgumentError(`adamw: betas must be in [0, 1), got ${beta}`);
  if (!(epsilon > 0)) throw new ArgumentError(`adamw: epsilon must be positive, got ${epsilon}`);
  if (!(weightDecay >= 0)) throw new ArgumentError(`adamw: weightDecay must not be negative, got ${weightDecay}`);

  const zerosFor = (parameters: readonly Parameter[], moment: string, allocate: (name: string, of: Tensor) => Tensor) =>
    parameters.map(({ name, value }) => allocate(`${name}.${moment}`, value));

  return {
    init(parameters, allocate) {
      const like = (name: string, { shape }: Tensor) => allocate(name, shape);
      return {
        firstMoments: zerosFor(parameters, 'firstMoment', like),
        secondMoments: zerosFor(parameters, 'secondMoment', like),
      };
    },
    learningRate: schedule,
    // 1 - beta^t loses its digits in f32: the corrections are the host's
    scalars(step) {
      const rate = schedule(step);
      const stepSize = rate / (1 - beta1 ** (step + 1));
      return [stepSize, Math.sqrt(1 - beta2 ** (step + 1)), 1 - rate * weightDecay];
    },
    update(gradients, state, parameters, { scalars }) {
      const [stepSize, rootCorrection, keep] = scalars as [Tensor, Tensor, Tensor];
      const firstMoments: Tensor[] = [];
      const secondMoments: Tensor[] = [];
      const next = parameters.map((parameter, i) => {
        const g = gradients[i]!.cast('f32');
        const before = state.firstMoments[i]!;
        const first = before.add(g.sub(before).mul(1 - beta1));
        const second = state.secondMoments[i]!.mul(beta2).add(g.mul(g).mul(1 - beta2));
        firstMoments.push(first);
        secondMoments.push(second);
        const value = parameter.value.cast('f32');
        const kept = weightDecay > 0 && decays(parameter) ? value.mul(keep) : value;
        const direction = first.div(second.sqrt().div(rootCorrection).add(epsilon));
        return kept.sub(direction.mul(stepSize)).cast(parameter.value.dtype);
      });
      return { parameters: next, state: { firstMoments, secondMoments } };
    },
  };
}
