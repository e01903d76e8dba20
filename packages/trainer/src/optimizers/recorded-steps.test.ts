import { type Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { dpoLoss, sequenceLogProbabilities } from '../losses/preference.ts';
import { dynamicLossScale } from '../precision/loss-scale.ts';
import { cosineSchedule, linearSchedule, warmupCosineSchedule } from '../schedules/decay.ts';
import { oneCycleSchedule } from '../schedules/one-cycle.ts';
import { constantSchedule, type Schedule } from '../schedules/schedule.ts';
import { warmUp } from '../schedules/warm-up.ts';
import { warmupStableDecaySchedule } from '../schedules/wsd.ts';
import { adafactor } from './adafactor.ts';
import { adam, adamw } from './adam.ts';
import { adamw8bit } from './adamw-8bit.ts';
import { chain } from './chain.ts';
import { clipByGlobalNorm, clipByValue } from './clip.ts';
import { lion } from './lion.ts';
import { muon } from './muon.ts';
import type { Optimizer } from './optimizer.ts';
import { parameterGroups } from './parameter-groups.ts';
import { sgd } from './sgd.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** Values that look random and are the same in every run. */
const numbers = (count: number, seed: number, scale = 1): number[] =>
  Array.from({ length: count }, (_, i) => Math.fround(Math.sin(seed * 78.233 + i * 12.9898) * scale));
const digits = (values: Iterable<number>) => Array.from(values, (value) => Number(value.toPrecision(4))).join(' ');

const falling: Schedule = (step) => 0.05 / (1 + step);
const everything = () => true;
const optimizers: readonly [string, () => Optimizer][] = [
  ['sgd', () => sgd({ learningRate: 0.1 })],
  ['sgd, momentum', () => sgd({ learningRate: falling, momentum: 0.8, dampening: 0.3, weightDecay: 0.05 })],
  [
    'sgd, Nesterov',
    () => sgd({ learningRate: 0.05, momentum: 0.9, nesterov: true, weightDecay: 0.1, decays: everything }),
  ],
  ['adam', () => adam({ learningRate: 0.02, weightDecay: 0.1 })],
  ['adam, amsgrad', () => adam({ learningRate: 0.02, amsgrad: true, betas: [0.5, 0.6] })],
  ['adamw', () => adamw({ learningRate: falling })],
  ['adamw, all decay', () => adamw({ learningRate: 0.02, weightDecay: 0.2, epsilon: 0.01, decays: everything })],
  ['adamw of 8 bits', () => adamw8bit({ learningRate: 0.02, minimumSize: 4, weightDecay: 0.1 })],
  ['adamw of 8 bits, small', () => adamw8bit({ learningRate: 0.02 })],
  ['lion', () => lion({ learningRate: falling, weightDecay: 0.1 })],
  ['lion, other betas', () => lion({ learningRate: 0.01, betas: [0.5, 0.7], weightDecay: 0.1, decays: everything })],
  ['adafactor', () => adafactor({ learningRate: 0.02 })],
  [
    'adafactor, otherwise',
    () => adafactor({ learningRate: falling, weightDecay: 0.1, beta2Decay: -0.5, clipThreshold: 0.5 }),
  ],
  ['adafactor, epsilons', () => adafactor({ learningRate: 0.02, epsilons: [0.1, 0.5] })],
  ['muon', () => muon({ learningRate: 0.02 })],
  [
    'muon, otherwise',
    () => muon({ learningRate: falling, momentum: 0.5, nesterov: false, iterations: 3, weightDecay: 0.1 }),
  ],
  ['muon, as AdamW', () => muon({ learningRate: 0.02, adjustLearningRate: 'matchRmsAdamw' })],
  ['clipped', () => chain(clipByGlobalNorm(1.5), sgd({ learningRate: 0.1 }))],
  ['clipped by value', () => chain(clipByValue(0.5), clipByGlobalNorm(100), sgd({ learningRate: 0.1 }))],
  [
    'groups',
    () =>
      parameterGroups([
        { includes: ({ name }) => name.startsWith('t'), optimizer: lion({ learningRate: 0.01 }) },
        { optimizer: sgd({ learningRate: falling, momentum: 0.5 }) },
      ]),
  ],
];

/** Those in nested lists and objects. */
const tensorsIn = (value: unknown): Tensor[] =>
  value instanceof Tensor
    ? [value]
    : typeof value === 'object' && value !== null
      ? Object.values(value).flatMap(tensorsIn)
      : [];

/** Where five steps end, whose gradients are given: a tall and a wide matrix, three axes, a vector. */
async function steps(optimizer: Optimizer, onlyMatrices: boolean): Promise<string[]> {
  const shapes = Object.entries({
    tall: [4, 2],
    wide: [2, 3],
    ...(onlyMatrices ? {} : { three: [2, 2, 2], vector: [3] }),
  });
  const sizeOf = (shape: readonly number[]) => shape.reduce((all, size) => all * size, 1);
  let parameters = shapes.map(([name, shape], i) => ({
    name,
    value: device.tensor(numbers(sizeOf(shape), i + 1), { shape: [...shape] }),
  }));
  let state = optimizer.init(parameters, (_, shape, dtype) => device.zeros([...shape], dtype));
  for (let step = 0; step < 5; step++) {
    const gradients = shapes.map(([, shape], i) => {
      // now and then one is 0, or large
      const scale = step === 2 ? 0 : step === 4 ? 9 : 1;
      return device.tensor(numbers(sizeOf(shape), 20 + 7 * step + i, scale), { shape: [...shape] });
    });
    const scalars = optimizer.scalars(step).map((value) => device.full([], value));
    const next = optimizer.update(gradients, state, parameters, { scalars });
    parameters = parameters.map(({ name }, i) => ({ name, value: next.parameters[i]! }));
    state = next.state;
    await device.realize([...parameters.map(({ value }) => value), ...tensorsIn(state)]);
  }
  const ends = await Promise.all(parameters.map(async ({ name, value }) => `${name} ${digits(await value.data())}`));
  return [...ends, `rates ${digits([0, 1, 5].map(optimizer.learningRate))}`];
}

const schedules: readonly [string, Schedule][] = [
  ['constant', constantSchedule(0.3)],
  ['linear', linearSchedule({ from: 2, to: 0.5, steps: 7 })],
  ['cosine', cosineSchedule({ from: 0.2, to: 3, steps: 6 })],
  ['warm-up, cosine', warmupCosineSchedule({ peak: 2, warmupSteps: 3, totalSteps: 9, final: 0.2 })],
  ['warm-up before linear', warmUp(3, linearSchedule({ from: 4, steps: 5 }))],
  ['plateau', warmupStableDecaySchedule({ peak: 3, warmupSteps: 2, stableSteps: 3, decaySteps: 4, final: 1 })],
  [
    'plateau, root',
    warmupStableDecaySchedule({ peak: 3, warmupSteps: 1, stableSteps: 2, decaySteps: 5, decay: 'sqrt' }),
  ],
  [
    'plateau, cosine',
    warmupStableDecaySchedule({ peak: 3, warmupSteps: 0, stableSteps: 1, decaySteps: 6, decay: 'cosine' }),
  ],
  ['one cycle', oneCycleSchedule({ peak: 1, totalSteps: 10, riseShare: 0.4, finalDivisor: 10 })],
  ['one cycle, linear', oneCycleSchedule({ peak: 5, totalSteps: 8, anneal: 'linear', startDivisor: 5 })],
];

async function preferences(): Promise<string[]> {
  const logits = device.tensor(numbers(2 * 3 * 4, 5, 2), { shape: [2, 3, 4] });
  const targets = device.tensor(Int32Array.of(1, -100, 3, 0, 2, -100), { shape: [2, 3] });
  const sums = sequenceLogProbabilities(logits, targets);
  const [policyChosen, policyRejected, referenceChosen, referenceRejected] = [1, 2, 3, 4].map((seed) =>
    device.tensor(numbers(3, seed, 4)),
  ) as [Tensor, Tensor, Tensor, Tensor];
  const given = { policyChosen, policyRejected, referenceChosen, referenceRejected };
  const lines = [`sums ${digits(await sums.data())}`];
  for (const kind of ['sigmoid', 'ipo', 'hinge'] as const)
    for (const labelSmoothing of kind === 'sigmoid' ? [0, 0.2] : [0]) {
      const found = dpoLoss(given, { beta: 0.3, labelSmoothing, kind });
      const values = await Promise.all(Object.values(found).map(async (one) => digits(await (one as Tensor).data())));
      lines.push(`${kind}, ${labelSmoothing}: ${values.join(', ')}`);
    }
  return lines;
}

async function scales(): Promise<string> {
  const scale = dynamicLossScale({ initial: 8, growth: 3, backoff: 0.25, interval: 2, minimum: 1, maximum: 100 });
  let state = scale.init((_, value, dtype = 'f32') => device.full([], value, dtype));
  const found: number[] = [];
  for (const good of [1, 1, 1, 0, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0]) {
    state = scale.update(state, device.full([], good).greater(0));
    found.push(Number(await state.scale.item()), Number(await state.goodSteps.item()));
  }
  return digits(found);
}

describe('the same gradients', () => {
  // what is meant to change is written anew by `npx vitest run -u`
  it('move parameters as they did before, by every optimizer; rates, scales and losses of preferences are those', async () => {
    const lines: string[] = [];
    for (const [name, make] of optimizers)
      lines.push(...(await steps(make(), name.startsWith('muon'))).map((line) => `${name}: ${line}`));
    for (const [name, schedule] of schedules)
      lines.push(`${name}: ${digits(Array.from({ length: 12 }, (_, step) => schedule(step)))}`);
    lines.push(...(await preferences()), `scale: ${await scales()}`);
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-steps.txt');
  });
});
