import { ArgumentError, checkOptions, type Tensor } from '@heddle/tensor';
import type { Optimizer } from './optimizer.ts';
import {
  aboveZero,
  belowOne,
  commonKinds,
  type DecayOptions,
  decayOf,
  type LearningRateOption,
  learningRateOf,
} from './options.ts';

export interface MuonOptions extends LearningRateOption, DecayOptions {
  /** How much of the running mean of gradients a step keeps; 0.95 where not named. */
  readonly momentum?: number;
  /** Looks one step of the momentum ahead; true where not named. */
  readonly nesterov?: boolean;
  /** Newton-Schulz iterations; 5 where not named. */
  readonly iterations?: number;
  /** The least norm that a direction is divided by; 1e-7 where not named. */
  readonly epsilon?: number;
  /**
   * What scales the learning rate of a matrix `[A, B]`: 'original' by sqrt(max(1, A / B)), 'matchRmsAdamw' by
   * 0.2 sqrt(max(A, B)), so that rates of AdamW fit. 'original' where not named.
   */
  readonly adjustLearningRate?: 'original' | 'matchRmsAdamw';
}

/** Running means of gradients, one per parameter. */
export interface MuonState {
  readonly momenta: readonly Tensor[];
}

/** Of the polynomial whose iteration drives all singular values towards 1. */
const [a, b, c] = [3.4445, -4.775, 2.0315];

/**
 * Muon: the momentum of a matrix, made orthogonal, is the direction of its step. Takes matrices only: give the rest to another
 * optimizer with `parameterGroups`. As PyTorch's, but the iteration is f32 where that one rounds to bfloat16 (results agree to
 * about 2e-2). Decay is decoupled, 0.1 where not named. Source: https://kellerjordan.github.io/posts/muon/
 * @throws ArgumentError for numbers outside of what the algorithm takes, and for parameters that are no matrices
 */
export function muon(options: MuonOptions): Optimizer<MuonState> {
  checkOptions('muon', options, {
    ...commonKinds,
    momentum: 'number?',
    nesterov: 'boolean?',
    iterations: 'number?',
    epsilon: 'number?',
    adjustLearningRate: [undefined, 'original', 'matchRmsAdamw'],
  });
  const { momentum = 0.95, nesterov = true, iterations = 5, epsilon = 1e-7 } = options;
  const { adjustLearningRate = 'original' } = options;
  const schedule = learningRateOf('muon', options);
  belowOne('muon', 'momentum', momentum);
  aboveZero('muon', 'epsilon', epsilon);
  if (!Number.isInteger(iterations) || iterations < 1)
    throw new ArgumentError(`muon: iterations must be a whole number from 1, got ${iterations}`);
  const { weightDecay, decays } = decayOf('muon', options, 0.1);
  const factorOf = ({ shape }: Tensor) => {
    const [rows, columns] = shape as readonly [number, number];
    if (adjustLearningRate === 'original') return Math.sqrt(Math.max(1, rows / columns));
    return 0.2 * Math.sqrt(Math.max(rows, columns));
  };
  return {
    init(parameters, allocate) {
      for (const { name, value } of parameters)
        if (value.rank !== 2)
          throw new ArgumentError(
            `muon: takes matrices, got '${name}' of ${value.rank} dimensions; parameterGroups gives the rest to another`,
          );
      return { momenta: parameters.map(({ name, value }) => allocate(`${name}.momentum`, value.shape)) };
    },
    learningRate: schedule,
    scalars: (step) => [schedule(step), 1 - schedule(step) * weightDecay],
    update(gradients, { momenta }, parameters, { scalars: [rate, keep] }) {
      const nextMomenta: Tensor[] = [];
      const next = parameters.map((parameter, i) => {
        const [g, before] = [gradients[i]!.cast('f32'), momenta[i]!];
        const mean = before.add(g.sub(before).mul(1 - momentum));
        nextMomenta.push(mean);
        const direction = orthogonalized(nesterov ? g.add(mean.sub(g).mul(momentum)) : mean, iterations, epsilon);
        const value = parameter.value.cast('f32');
        const kept = decays(parameter) ? value.mul(keep!) : value;
        return kept.sub(direction.mul(rate!.mul(factorOf(parameter.value)))).cast(parameter.value.dtype);
      });
      return { parameters: next, state: { momenta: nextMomenta } };
    },
  };
}

/** The matrix with its singular values near 1, by Newton-Schulz iterations on its shorter side. */
function orthogonalized(matrix: Tensor, iterations: number, epsilon: number): Tensor {
  const [rows, columns] = matrix.shape as readonly [number, number];
  const tall = rows > columns;
  let x = tall ? matrix.transpose() : matrix;
  x = x.div(x.mul(x).sum().sqrt().maximum(epsilon));
  for (let i = 0; i < iterations; i++) {
    const gram = x.matmul(x, { transposeB: true });
    const polynomial = gram.mul(b).add(gram.matmul(gram).mul(c));
    x = x.mul(a).add(polynomial.matmul(x));
  }
  return tall ? x.transpose() : x;
}
