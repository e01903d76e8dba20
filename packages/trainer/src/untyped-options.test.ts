import { isHeddleError } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, it } from 'vitest';
import { exampleBatches, tokenArray, tokenBatches } from './data.ts';
import * as trainer from './index.ts';

/** Functions as a program without types calls them. */
const untyped = trainer as unknown as Readonly<Record<string, (...args: readonly unknown[]) => unknown>>;

function refused(call: () => unknown, message: string): void {
  expect(call).toThrow(message);
  expect(call).toThrow(expect.toSatisfy((error) => isHeddleError(error, 'ERR_ARGUMENT')));
}

it.each(['adam', 'adamw', 'adamw8bit', 'sgd', 'lion', 'muon', 'adafactor'])('%s refuses weight_decay', (name) => {
  const options = { learningRate: 0.1, weight_decay: 0.1 };
  refused(
    () => untyped[name]!(options),
    `${name}: has no option weight_decay; its options are learningRate, weightDecay`,
  );
});

it('betas are a list', () => {
  refused(
    () => untyped['adamw']!({ learningRate: 0.1, betas: 0.9 }),
    'adamw: betas must be a list, got the number 0.9',
  );
});

it('schedules refuse options that they do not have', () => {
  refused(
    () => untyped['warmupCosineSchedule']!({ peak: 1, warmupSteps: 1, totalSteps: 9, end: 0 }),
    'warmupCosineSchedule: has no option end; its options are peak, warmupSteps, totalSteps, final',
  );
});

it('a chain ends with its one optimizer', () => {
  const [clip, sgd] = [trainer.clipByGlobalNorm(1), trainer.sgd({ learningRate: 1 })];
  const rule = 'chain: takes gradient transforms and an optimizer as the last';
  for (const parts of [[], [clip], [sgd, clip], [[clip, sgd]], [undefined, sgd]])
    refused(() => untyped['chain']!(...parts), rule);
  expect(trainer.chain(clip, trainer.chain(clip, sgd)).learningRate(0)).toBe(1);
});

it('only iterables are repeated', () => {
  refused(() => untyped['repeat']!({ x: new Float32Array(1) }), 'repeat: takes a list or another iterable of batches');
});

it('train refuses options that it does not have, and parts of them that are none', async () => {
  const device = await openReference();
  const w = device.variable([1]);
  const options = {
    model: { parameters: { w }, forward: () => w.sum() },
    loss: (y: unknown) => y,
    optimizer: trainer.sgd({ learningRate: 1 }),
    data: [{}],
  };
  refused(() => untyped['train']!({ ...options, step: 5 }), 'train: has no option step; its options are model, loss, ');
  refused(() => untyped['train']!({ ...options, model: undefined }), 'train: model must be an object');
  refused(
    () => untyped['train']!({ ...options, save: { to: 'runs', every: 1 } }),
    'train: save.to.save must be a function',
  );
  refused(() => untyped['train']!({ ...options, signal: 3 }), 'train: signal must be an object, got the number 3');
  await device.dispose();
});

it('batches refuse options that they do not have', () => {
  const [options, rule] = [{ rows: 1, length: 1, epoch: 1 }, 'has no option epoch; its options are rows, length, '];
  refused(() => tokenBatches(tokenArray([1, 2, 3]), options), `tokenBatches: ${rule}`);
  refused(() => exampleBatches([], options), `exampleBatches: ${rule}`);
  refused(() => tokenArray([1], { dtype: 'uint16' } as never), 'tokenArray: has no option dtype');
});

it('a forward that gives a promise is named', async () => {
  const device = await openReference();
  const w = device.variable([1]);
  const step = trainer.createTrainStep({
    model: { parameters: { w }, forward: async () => w.sum() },
    loss: (y) => y as never,
    optimizer: trainer.sgd({ learningRate: 1 }),
  });
  await expect(step({})).rejects.toThrow("train: the model's forward must give its output at once, got a promise");
  step.dispose();
  await device.dispose();
});
