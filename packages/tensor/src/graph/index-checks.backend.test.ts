import { afterAll, beforeAll, expect } from 'vitest';
import { openDebug } from '../../../../test-support/open-debug.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { checkpoint } from '../autograd/checkpoint.ts';
import { grad } from '../autograd/grad.ts';
import { isHeddleError } from '../checks/errors.ts';
import { compile } from '../compile/compile.ts';
import { embedding, scatterAdd, take } from '../ops/indexing/gather.ts';
import { indexSelect, scatterAddAlongAxis, takeAlongAxis } from '../ops/indexing/indexing.ts';
import { sort } from '../ops/indexing/sort.ts';
import { crossEntropy } from '../ops/nn.ts';
import { linearCrossEntropy } from '../ops/rows/loss.ts';
import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';

async function refusal(work: () => Promise<unknown>): Promise<string> {
  try {
    await work();
  } catch (cause) {
    if (isHeddleError(cause, 'ERR_INDEX')) return cause.message;
    throw cause;
  }
  return 'none';
}

type Indexing = (x: Tensor, indices: Tensor) => Tensor;
const operations: Readonly<Record<string, Indexing>> = {
  take: (x, i) => take(x, i),
  embedding: (x, i) => embedding(x, i),
  indexSelect: (x, i) => indexSelect(x, i, 0),
  takeAlongAxis: (x, i) => takeAlongAxis(x, i.reshape([3, 1]), 0),
  scatterAdd: (x, i) => scatterAdd(4, i, x.slice(0, 0, 3)),
  scatterAddAlongAxis: (x, i) => scatterAddAlongAxis(4, i.reshape([3, 1]), x.slice(0, 0, 3).slice(1, 0, 1), 0),
  crossEntropy: (x, i) => crossEntropy(x.transpose().slice(0, 0, 1).expand([3, 4]), i),
  linearCrossEntropy: (x, i) => linearCrossEntropy(x.slice(0, 0, 3), x, i),
};
const values = Float32Array.from({ length: 8 }, (_, i) => i);

conformance('indices', (device) => {
  let checking: Device;
  beforeAll(async () => {
    checking = await openDebug();
  });
  afterAll(() => checking?.dispose());
  const operands = (on: Device, indices: readonly number[]) =>
    [on.tensor(values, { shape: [4, 2] }), on.tensor(Int32Array.from(indices))] as const;

  for (const [name, apply] of Object.entries(operations))
    test(`${name}: one outside is an error in debug mode, after which the device works`, async () => {
      const [x, inside] = operands(checking, [3, 0, 1]);
      const range = name.endsWith('CrossEntropy') || name === 'crossEntropy' ? '\\[0, 4\\) or -100' : '\\[0, 4\\)';
      for (const outside of [4, -1, 2147483647]) {
        const indices = checking.tensor(Int32Array.of(1, outside, 2));
        await checking.trim();
        const before = checking.memory().live;
        const message = await refusal(() => apply(x, indices).data());
        expect(message).toMatch(new RegExp(`^${name}: indices must be in ${range}, got ${outside}$`));
        expect(await refusal(() => apply(x, indices).realize())).toBe(message);
        await checking.trim();
        expect(checking.memory().live).toBeLessThanOrEqual(before);
      }
      expect(await refusal(() => apply(x, inside).data())).toBe('none');
    });

  test('targets that are to be ignored are none outside', async () => {
    const [x, targets] = operands(checking, [3, -100, 1]);
    expect(await refusal(() => operations['crossEntropy']!(x, targets).data())).toBe('none');
    expect(await refusal(() => operations['linearCrossEntropy']!(x, targets).data())).toBe('none');
  });

  test('no indices, those that sorting gives, and those of gradients and recomputations', async () => {
    const [x] = operands(checking, []);
    expect(await refusal(() => take(x, checking.tensor([], { shape: [0], dtype: 'i32' })).data())).toBe('none');
    expect(await refusal(() => sort(x, 0).values.data())).toBe('none');
    const bad = checking.tensor(Int32Array.of(9));
    const slope = grad((table: Tensor) => embedding(table, bad).sum());
    expect(await refusal(() => slope(x)[0]!.data())).toMatch(/^embedding: .*\[0, 4\), got 9/);
    const inside = grad((table: Tensor) => checkpoint((t: Tensor) => embedding(t, bad).mul(t.sum()))(table).sum());
    expect(await refusal(() => inside(x)[0]!.data())).toMatch(/^embedding: /);
  });

  test('compiled functions check every run, against the sizes of that run', async () => {
    const step = compile((x: Tensor, i: Tensor) => ({ rows: take(x, i), doubled: x.mul(2) }), {
      device: checking,
      inputs: [{ shape: ['T', 2] }, { shape: ['N'], dtype: 'i32' }],
      symbols: { T: 8, N: 8 },
    });
    expect(await refusal(() => step(values, Int32Array.of(5)))).toMatch(/^take: indices must be in \[0, 4\), got 5/);
    const { rows, doubled } = await step(values, Int32Array.of(3, 0));
    expect(await rows.data()).toEqual(Float32Array.of(6, 7, 0, 1));
    expect(await doubled.data()).toEqual(values.map((value) => 2 * value));
    expect(await refusal(() => step(values.slice(0, 4), Int32Array.of(3)))).toMatch(/\[0, 2\), got 3/);
    step.dispose();
  });

  test('rows of an update beyond the last are an error, those below 0 are not', async () => {
    const table = checking.zeroVariable([3, 2], { name: 'table' });
    const write = (...rows: number[]) =>
      checking.realize([], [table.scatter(checking.tensor(Int32Array.from(rows)), checking.ones([2, 2]))]);
    expect(await refusal(() => write(-1, 2))).toBe('none');
    expect(await refusal(() => write(0, 3))).toMatch(/^scatter: .*3/);
    expect((await table.data()).slice(4)).toEqual(Float32Array.of(1, 1));
    table.dispose();
  });

  test('without debug mode they are clamped, and a target that is no class makes the loss NaN', async () => {
    const [x, indices] = operands(device(), [-7, 2, 99]);
    expect(await take(x, indices).data()).toEqual(Float32Array.of(0, 1, 4, 5, 6, 7));
    expect(await takeAlongAxis(x, indices.reshape([3, 1]), 0).data()).toEqual(Float32Array.of(0, 1, 4, 5, 6, 7));
    const ones = device().ones([3, 1]);
    expect(await scatterAdd(4, indices, ones).data()).toEqual(Float32Array.of(1, 0, 1, 1));
    expect(await scatterAddAlongAxis(4, indices.reshape([3, 1]), ones, 0).data()).toEqual(Float32Array.of(1, 0, 1, 1));
    const logits = device().zeros([2, 4]);
    const loss = await crossEntropy(logits, device().tensor(Int32Array.of(1, 4))).item();
    expect(loss).toBeNaN();
  });
});
