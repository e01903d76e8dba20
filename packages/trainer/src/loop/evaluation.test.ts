import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { openCheckpoints } from '../checkpoint/checkpoints.ts';
import { tokenBatches } from '../data/token-batches.ts';
import { tokenArray } from '../data/token-source.ts';
import { summedCrossEntropy } from '../losses/cross-entropy.ts';
import { sgd } from '../optimizers/sgd.ts';
import { createEvaluation } from '../step/evaluation.ts';
import { repeat } from './batches.ts';
import type { StepReport } from './step-report.ts';
import { train } from './train.ts';

let device: Device;
beforeEach(async () => {
  device = await openReference();
});
afterEach(() => device.dispose());

async function collect(reports: AsyncIterable<StepReport>): Promise<StepReport[]> {
  const found: StepReport[] = [];
  for await (const report of reports) found.push(report);
  return found;
}

/** Loss w times the mean of x, whose gradient is that mean: each step takes away the rate times it. */
const line = (rate = 1) => {
  const w = device.variable([10], { name: 'w' });
  const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x) };
  const loss = (y: Tensor) => y.mean();
  return { w, options: { model, loss, optimizer: sgd({ learningRate: rate }) } };
};
const batch = { x: Float32Array.of(1, 1) };

test('evaluates the weights after the step, at its steps and after the last', async () => {
  const { w, options } = line();
  const held = [{ x: Float32Array.of(1) }, { x: Float32Array.of(3) }];
  const reports = await collect(
    train({ ...options, data: repeat([batch]), steps: 5, evaluate: { every: 2, data: () => held } }),
  );
  expect(reports.map(({ loss }) => loss)).toEqual([10, 9, 8, 7, 6]);
  // w is 8, 6 and 5 there, and x is 2 in the mean
  expect(reports.map(({ evaluation }) => evaluation?.loss)).toEqual([undefined, 16, undefined, 12, 10]);
  expect(reports[1]!.evaluation).toEqual({ loss: 16, count: 2, batches: 2 });
  expect(reports[1]!.phases.evaluation).toBeGreaterThan(0);
  expect(reports[0]!.phases.evaluation).toBe(0);
  w.dispose();
  expect(device.memory().live).toBe(0);
});

test('stops where it no longer improves', async () => {
  const { options } = line(0); // never improves
  const evaluate = { every: 2, data: () => [batch] };
  const reports = await collect(
    train({ ...options, data: repeat([batch]), steps: 100, evaluate, earlyStopping: { patience: 2 } }),
  );
  expect(reports).toHaveLength(6); // the first evaluation is the best, the next two are not better
  expect(reports.at(-1)!.stopped).toBe(true);
  const better = line();
  const all = { ...better.options, data: repeat([batch]), steps: 8, evaluate };
  expect(await collect(train({ ...all, earlyStopping: { patience: 1, minDelta: 1.5 } }))).toHaveLength(8);
  const slow = { ...line(0.5).options, data: repeat([batch]), steps: 8, evaluate };
  expect(await collect(train({ ...slow, earlyStopping: { patience: 1, minDelta: 1.5 } }))).toHaveLength(4);
});

test('evaluates averages, and leaves the weights as they were', async () => {
  const { w, options } = line();
  const reports = await collect(
    train({
      ...options,
      data: repeat([batch]),
      steps: 2,
      average: { decay: 0.5 },
      evaluate: { every: 2, data: () => [batch], averages: true },
    }),
  );
  expect(reports[1]!.evaluation!.loss).toBeCloseTo((10 + 9) / 4 + 8 / 2, 6);
  expect([...(await w.data())]).toEqual([8]);
});

test('alone: exact over batches of unequal weight; nothing, or nothing that counts, is a mistake', async () => {
  const table = device.variable([[1, 2, 3]], { name: 'table' });
  const evaluate = createEvaluation({
    model: { parameters: { table }, forward: ({ x }: { readonly x: Tensor }) => x.matmul(table) },
    loss: (logits, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets),
  });
  const rows = (...targets: number[]) => ({
    x: { data: new Float32Array(targets.length).fill(1), shape: [targets.length, 1] },
    targets: Int32Array.from(targets),
  });
  const total = Math.log(Math.exp(1) + Math.exp(2) + Math.exp(3));
  const result = await evaluate([rows(2, -100, -100), rows(0, 0), rows(-100)]);
  expect(result).toMatchObject({ count: 3, batches: 3 });
  expect(result.loss).toBeCloseTo(total - (3 + 1 + 1) / 3, 5);
  await expect(evaluate([])).rejects.toMatchObject({ code: 'ERR_EMPTY_DATA' });
  await expect(evaluate([rows(-100)])).rejects.toMatchObject({ code: 'ERR_NOTHING_TO_LEARN' });
  evaluate.dispose();
  await expect(evaluate([rows(1)])).rejects.toMatchObject({ code: 'ERR_DISPOSED' });
});

test('a run that was stopped goes on from its checkpoint, with the batches that come next', async () => {
  const root = await mkdtemp(`${tmpdir()}/train-`);
  const source = tokenArray(Array.from({ length: 60 }, (_, i) => i % 7));
  const table = (values?: Float32Array) =>
    device.variable(values ?? new Float32Array(49).map((_, i) => Math.sin(i)), { shape: [7, 7], name: 'table' });
  const settings = (parameter: ReturnType<typeof table>) => ({
    model: {
      parameters: { table: parameter },
      forward: ({ tokens }: { readonly tokens: Tensor }) => parameter.take(tokens),
    },
    loss: (logits: Tensor, { targets }: { readonly targets: Tensor }) => summedCrossEntropy(logits, targets),
    optimizer: sgd({ learningRate: (step) => 0.5 / (1 + step), momentum: 0.9 }),
    evaluate: { every: 2, data: () => tokenBatches(source, { rows: 9, length: 6, epochs: 1 }) },
  });
  const stream = { rows: 2, length: 4, seed: 3 };
  const whole = await collect(train({ ...settings(table()), data: tokenBatches(source, stream), steps: 8 }));

  const checkpoints = openCheckpoints(`${root}/run`, { keepLast: 10 });
  const first = tokenBatches(source, stream);
  const save = { to: checkpoints, every: 2, data: () => ({ ...first.cursor }) };
  for await (const { step } of train({ ...settings(table()), data: first, steps: 8, save })) if (step === 4) break;
  const latest = (await checkpoints.latest())!;
  expect(latest.progress.steps).toBe(6); // the step ahead of the last report was saved, too
  expect(latest.metric).toBeCloseTo(whole[5]!.evaluation!.loss, 5);

  const cursor = latest.data as unknown as typeof first.cursor;
  const rest = tokenBatches(source, { rows: 2, length: 4, cursor });
  const resumed = await collect(
    train({
      ...settings(table(new Float32Array(49))),
      data: rest,
      steps: 8,
      save: { ...save, data: () => ({ ...rest.cursor }), resumeFrom: latest },
    }),
  );
  expect(resumed.map(({ step }) => step)).toEqual([6, 7]);
  for (const [i, report] of resumed.entries()) {
    expect(report.loss).toBeCloseTo(whole[6 + i]!.loss, 5);
    expect(report.learningRate).toBe(whole[6 + i]!.learningRate);
  }
  await rm(root, { recursive: true });
});

test('settings that are none', () => {
  const { options } = line();
  const evaluate = { every: 1, data: () => [batch] };
  for (const [setting, message] of [
    [{ evaluate: { every: 0, data: () => [batch] } }, /evaluate.every must be/],
    [{ evaluate: { every: 1, data: [batch] as never } }, /evaluate.data must be a function/],
    [{ evaluate: { ...evaluate, averages: true } }, /needs `average`/],
    [{ earlyStopping: { patience: 1 } }, /earlyStopping needs `evaluate`/],
    [{ evaluate, earlyStopping: { patience: 0 } }, /patience must be/],
    [{ evaluate, earlyStopping: { patience: 1, minDelta: -1 } }, /minDelta must not be negative/],
    [{ save: { to: openCheckpoints('x'), every: 0.5 } }, /save.every must be/],
    [{ flops: { perToken: 0, perSecond: 1 } }, /flops: perToken must be a positive number, got 0/],
  ] as const)
    expect(() => train({ ...options, data: [batch], ...setting })).toThrow(message);
});
