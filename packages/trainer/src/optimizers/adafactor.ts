import { ArgumentError, checkOptions, type Tensor } from '@heddle/tensor';
import type { Optimizer, Parameter } from './optimizer.ts';
import {
  aboveZero,
  commonKinds,
  type DecayOptions,
  decayOf,
  type LearningRateOption,
  learningRateOf,
} from './options.ts';

export interface AdafactorOptions extends LearningRateOption, DecayOptions {
  /** The running mean of squares takes (step + 1) to this power of each new one; -0.8 where not named. */
  readonly beta2Decay?: number;
  /** The least root of a second moment, and the least scale of a parameter; [1.1920929e-7, 1e-3] where not named. */
  readonly epsilons?: readonly [number, number];
  /** The largest root mean square of an update; 1 where not named. */
  readonly clipThreshold?: number;
}

/** Mean squares of gradients: of matrices by row and by column, of other parameters value by value. */
export interface AdafactorState {
  readonly moments: readonly { readonly rows?: Tensor; readonly columns?: Tensor; readonly values?: Tensor }[];
}

/**
 * Adafactor as PyTorch computes it: second moments of matrices as the product of a row and a column, so its state is small, and
 * steps in proportion to the size of a parameter. The learning rate is the most that a relative step takes (it also falls
 * with the root of the step). Decay is decoupled, 0 where not named. Source: https://arxiv.org/abs/1804.04235
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adafactor(options: AdafactorOptions): Optimizer<AdafactorState> {
  checkOptions('adafactor', options, {
    ...commonKinds,
    beta2Decay: 'number?',
    epsilons: 'list?',
    clipThreshold: 'number?',
  });
  const { beta2Decay = -0.8, epsilons: [epsilon1, epsilon2] = [2 ** -23, 1e-3], clipThreshold = 1 } = options;
  const schedule = learningRateOf('adafactor', options);
  aboveZero('adafactor', 'epsilons', epsilon1);
  aboveZero('adafactor', 'epsilons', epsilon2);
  aboveZero('adafactor', 'clipThreshold', clipThreshold);
  if (!(beta2Decay <= 0 && Number.isFinite(beta2Decay)))
    throw new ArgumentError(`adafactor: beta2Decay must not be positive, got ${beta2Decay}`);
  const { weightDecay, decays } = decayOf('adafactor', options, 0);
  const isMatrix = ({ value }: Parameter) => value.rank >= 2;
  return {
    init: (parameters, allocate) => ({
      moments: parameters.map((parameter) => {
        const { name, value } = parameter;
        const shape = value.shape as readonly number[];
        if (!isMatrix(parameter)) return { values: allocate(`${name}.secondMoment`, shape) };
        return {
          rows: allocate(`${name}.rowMoment`, [...shape.slice(0, -1), 1]),
          columns: allocate(`${name}.columnMoment`, [...shape.slice(0, -2), 1, shape.at(-1)!]),
        };
      }),
    }),
    learningRate: schedule,
    scalars(step) {
      const rate = schedule(step);
      return [Math.min(rate, 1 / Math.sqrt(step + 1)), (step + 1) ** beta2Decay, 1 - rate * weightDecay];
    },
    update(gradients, state, parameters, { scalars: [relativeStep, share, keep] }) {
      const moments: AdafactorState['moments'][number][] = [];
      const toward = (mean: Tensor, value: Tensor) => mean.add(value.sub(mean).mul(share!));
      const next = parameters.map((parameter, i) => {
        const [g, before] = [gradients[i]!.cast('f32'), state.moments[i]!];
        const value = parameter.value.cast('f32');
        const squares = g.mul(g);
        let variance: Tensor;
        if (before.values) {
          variance = toward(before.values, squares);
          moments.push({ values: variance });
        } else {
          const rows = toward(before.rows!, squares.mean(-1, { keepDims: true }));
          const columns = toward(before.columns!, squares.mean(-2, { keepDims: true }));
          variance = rows.mul(columns).div(rows.mean(-2, { keepDims: true }).maximum(epsilon1));
          moments.push({ rows, columns });
        }
        const update = g.mul(variance.maximum(epsilon1 * epsilon1).rsqrt());
        const length = value.mul(value).mean().sqrt().maximum(epsilon2).mul(relativeStep!);
        const clip = update.mul(update).mean().sqrt().div(clipThreshold).maximum(1);
        const kept = decays(parameter) ? value.mul(keep!) : value;
        return kept.sub(update.mul(length.div(clip))).cast(parameter.value.dtype);
      });
      return { parameters: next, state: { moments } };
    },
  };
}
