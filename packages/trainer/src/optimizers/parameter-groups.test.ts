import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createTrainStep } from '../step/train-step.ts';
import { adamw } from './adam.ts';
import { chain } from './chain.ts';
import { clipByGlobalNorm } from './clip.ts';
import { muon } from './muon.ts';
import type { Optimizer, Parameter } from './optimizer.ts';
import { parameterGroups } from './parameter-groups.ts';
import { sgd } from './sgd.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const isBias = ({ name }: Parameter) => name.endsWith('bias');

async function afterOneStep(optimizer: Optimizer) {
  const parameters = { layers: [{ weight: device.variable([[1, 2]]), bias: device.variable([1]) }] };
  const [{ weight, bias }] = parameters.layers as [(typeof parameters.layers)[0]];
  const forward = ({ x }: { readonly x: Tensor }) => weight.mul(x).sum().add(bias.sum());
  const step = createTrainStep({ model: { parameters, forward }, loss: (y: Tensor) => y, optimizer });
  const { learningRate } = await step({ x: { data: Float32Array.of(3, 4), shape: [1, 2] } });
  const values = [[...(await weight.data())], [...(await bias.data())]];
  step.dispose();
  weight.dispose();
  bias.dispose();
  return { learningRate, values };
}

test('each parameter follows the first group that includes it', async () => {
  const groups = parameterGroups([
    { includes: isBias, optimizer: sgd({ learningRate: (step) => 1 / (1 + step) }) },
    { optimizer: chain(clipByGlobalNorm(1), sgd({ learningRate: 0.5 })) },
  ]);
  const { learningRate, values } = await afterOneStep(groups);
  expect(learningRate).toBe(1);
  expect(values[1]).toEqual([0]);
  expect(values[0]![0]).toBeCloseTo(1 - 0.5 * 0.6, 5);
  expect(values[0]![1]).toBeCloseTo(2 - 0.5 * 0.8, 5);
});

test('a group may be empty; a parameter without a group, and muon without a matrix, are mistakes', async () => {
  const nothing = { includes: () => false, optimizer: chain(clipByGlobalNorm(1), adamw({ learningRate: 1 })) };
  const { values } = await afterOneStep(parameterGroups([nothing, { optimizer: sgd({ learningRate: 1 }) }]));
  expect(values).toEqual([[-2, -2], [0]]);
  await expect(afterOneStep(parameterGroups([nothing]))).rejects.toThrow(/no group includes 'layers.0.weight'/);
  await expect(afterOneStep(muon({ learningRate: 1 }))).rejects.toThrow(/takes matrices, got 'layers.0.bias'/);
  expect(() => parameterGroups([])).toThrow(/at least one group/);
});

test.each([
  [() => sgd({ learningRate: Number.NaN }), /sgd: learningRate must be a finite number, got NaN/],
  [() => adamw({ learningRate: Number.NaN }), /adamw: learningRate must be a finite number, got NaN/],
  [() => adamw({ learningRate: '1' as never }), /learningRate must be a finite number, got 1/],
  [() => sgd({ learningRate: 1, nesterov: true }), /nesterov takes a momentum/],
  [() => sgd({ learningRate: 1, momentum: -1 }), /momentum must not be negative, got -1/],
  [() => muon({ learningRate: 1, iterations: 0 }), /iterations must be a whole number from 1, got 0/],
  [() => muon({ learningRate: 1, momentum: 1 }), /momentum must be in \[0, 1\), got 1/],
])('refuses options that make no sense: %#', (make, message) => {
  expect(make).toThrow(message);
});
