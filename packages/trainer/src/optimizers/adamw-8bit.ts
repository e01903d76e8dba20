import { ArgumentError, type Tensor } from '@heddle/tensor';
import { type AdamOptions, adamScalars } from './adam.ts';
import {
  type BlockwiseCode,
  type BlockwiseTensor,
  blockwiseSizes,
  dequantizeBlockwise,
  quantizeBlockwise,
} from './blockwise.ts';
import type { AllocateState, Optimizer } from './optimizer.ts';
import { aboveZero, belowOne, decayOf, learningRateOf } from './options.ts';

export interface AdamW8bitOptions extends Omit<AdamOptions, 'amsgrad'> {
  /** Parameters of fewer values keep f32 moments: they weigh little, and norms and biases need them most; 4096 where not named. */
  readonly minimumSize?: number;
}

/** The moments of a parameter, each in one byte a value, or in f32 where there are few. */
export interface MomentsOf8Bits {
  readonly first: BlockwiseTensor | Tensor;
  readonly second: BlockwiseTensor | Tensor;
}

const firstCode: BlockwiseCode = { signed: true, degree: 2 };
const secondCode: BlockwiseCode = { signed: false, degree: 4 };

/**
 * AdamW whose moments take a byte a value between steps, in blocks of 256 that share a scale: 2.04 bytes of state per value
 * instead of 8. A step computes in f32. Source: https://arxiv.org/abs/2110.02861 (blocks; the code is a root instead of a table)
 * @throws ArgumentError for numbers outside of what the algorithm takes
 */
export function adamw8bit(options: AdamW8bitOptions): Optimizer<readonly MomentsOf8Bits[]> {
  const { betas: [beta1, beta2] = [0.9, 0.999], epsilon = 1e-8, minimumSize = 4096 } = options;
  const schedule = learningRateOf('adamw8bit', options);
  belowOne('adamw8bit', 'betas', beta1, beta2);
  aboveZero('adamw8bit', 'epsilon', epsilon);
  if (!(minimumSize >= 0)) throw new ArgumentError(`adamw8bit: minimumSize must not be negative, got ${minimumSize}`);
  const { weightDecay, decays } = decayOf('adamw8bit', options, 0.01);
  return {
    init: (parameters, allocate) =>
      parameters.map(({ name, value }) => {
        const shape = value.shape as readonly number[];
        const moment = (which: string) => allocateMoment(allocate, `${name}.${which}`, shape, minimumSize);
        return { first: moment('firstMoment'), second: moment('secondMoment') };
      }),
    learningRate: schedule,
    scalars: (step) => adamScalars(schedule, step, [beta1, beta2], weightDecay),
    update(gradients, state, parameters, { scalars: [stepSize, rootCorrection, keep] }) {
      const moments: MomentsOf8Bits[] = [];
      const next = parameters.map((parameter, i) => {
        const shape = parameter.value.shape as readonly number[];
        const [g, before] = [gradients[i]!.cast('f32'), state[i]!];
        const m = decoded(before.first, firstCode, shape);
        const first = m.add(g.sub(m).mul(1 - beta1));
        const second = decoded(before.second, secondCode, shape)
          .mul(beta2)
          .add(g.mul(g).mul(1 - beta2));
        moments.push({
          first: encodedLike(before.first, first, firstCode),
          second: encodedLike(before.second, second, secondCode),
        });
        const value = parameter.value.cast('f32');
        const kept = decays(parameter) ? value.mul(keep!) : value;
        const direction = first.div(second.sqrt().div(rootCorrection!).add(epsilon));
        return kept.sub(direction.mul(stepSize!)).cast(parameter.value.dtype);
      });
      return { parameters: next, state: moments };
    },
  };
}

function allocateMoment(
  allocate: AllocateState,
  name: string,
  shape: readonly number[],
  minimumSize: number,
): BlockwiseTensor | Tensor {
  const count = shape.reduce((a, b) => a * b, 1);
  if (count < minimumSize) return allocate(name, shape);
  const { words, blocks } = blockwiseSizes(count);
  return { codes: allocate(`${name}.codes`, [words], 'u32'), scales: allocate(`${name}.scales`, [blocks]) };
}

function decoded(moment: BlockwiseTensor | Tensor, code: BlockwiseCode, shape: readonly number[]): Tensor {
  return 'codes' in moment ? dequantizeBlockwise(moment, code, shape) : moment;
}

function encodedLike(before: BlockwiseTensor | Tensor, value: Tensor, code: BlockwiseCode): BlockwiseTensor | Tensor {
  return 'codes' in before ? quantizeBlockwise(value, code) : value;
}
