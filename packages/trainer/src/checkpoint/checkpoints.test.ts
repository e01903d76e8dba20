import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { type FileSystem, nodeFileSystem } from '../files/node.ts';
import { adamw } from '../optimizers/adam.ts';
import type { Optimizer } from '../optimizers/optimizer.ts';
import { sgd } from '../optimizers/sgd.ts';
import { createTrainStep } from '../step/train-step.ts';
import { checkpointsOn, openCheckpoints } from './checkpoints.ts';

let device: Device;
let root: string;
let path: string;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());
beforeEach(async () => {
  root = await mkdtemp(`${tmpdir()}/checkpoints-`);
  path = `${root}/run`;
});
afterEach(() => rm(root, { recursive: true }));

function network(optimizer: Optimizer = adamw({ learningRate: 0.1 }) as Optimizer, size = 2) {
  const w = device.variable(new Float32Array(size).fill(1), { name: 'w' });
  const model = { parameters: { w }, forward: ({ x }: { readonly x: Tensor }) => w.mul(x).sum() };
  const step = createTrainStep({ model, loss: (y: Tensor) => y.mul(y), optimizer });
  const take = () => step({ x: new Float32Array(size).fill(0.5) });
  return { step, take, w };
}

const names = async () => (await readdir(path)).sort();

test('the last and the best are kept', async () => {
  const checkpoints = openCheckpoints(path, { keepLast: 2, keepBest: 1 });
  expect(await checkpoints.list()).toEqual([]);
  expect(await checkpoints.latest()).toBeUndefined();
  const { step, take } = network();
  for (const metric of [5, 1, 3, 4, 2]) {
    await take();
    await checkpoints.save(step, { metric });
  }
  expect(await names()).toEqual(['step-00000002', 'step-00000004', 'step-00000005']);
  expect((await checkpoints.best())!.metric).toBe(1);
  expect((await checkpoints.latest())!.progress).toEqual({ steps: 5, applied: 5 });
  // the same step again replaces what was there
  await checkpoints.save(step, { metric: 0.5 });
  expect(await names()).toEqual(['step-00000004', 'step-00000005']);
  expect((await checkpoints.best())!.metric).toBe(0.5);
  const weights = await openSafetensors(`${path}/step-00000005/model.safetensors`);
  expect(weights.names()).toEqual(['w']);
  await weights.close();
  step.dispose();
});

test('what does not fit, or is damaged, is refused before anything changes', async () => {
  const checkpoints = openCheckpoints(path);
  const { step, take, w } = network();
  await take();
  const saved = await checkpoints.save(step);
  await take();
  const before = [...(await w.data())];
  const refused = async (what: RegExp, other = step) => {
    const error = await checkpoints.restore(saved, other).catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'ERR_CHECKPOINT' });
    expect((error as Error).message).toMatch(what);
    expect([...(await w.data())]).toEqual(before);
    expect(await step.progress()).toEqual({ steps: 2, applied: 2 });
  };
  await refused(
    /has 'optimizer.w.firstMoment', which is not here: it is of another model or optimizer/,
    network(sgd({ learningRate: 1 }) as Optimizer).step,
  );
  await refused(/has 'w' as F32 \[2\], here it is F32 \[3\]/, network(undefined, 3).step);
  const state = `${saved.path}/state.safetensors`;
  const bytes = await readFile(state);
  for (let at = 0; at < bytes.length; at += 17) {
    const damaged = Uint8Array.from(bytes);
    damaged[at]! ^= 16;
    await writeFile(state, damaged);
    await refused(/state.safetensors is damaged/);
  }
  await writeFile(state, bytes);
  await truncate(`${saved.path}/model.safetensors`, 30);
  await refused(/model.safetensors is damaged: it has 30 bytes/);
  await rm(`${saved.path}/model.safetensors`);
  await refused(/model.safetensors/);
  for (const [text, what] of [
    ['{', /damaged/],
    ['{}', /no record/],
    ['{"format":"heddle-training","version":2}', /has version 2/],
    ['{"format":"heddle-training","version":1,"progress":{"steps":1,"applied":2}}', /where the run stood/],
    ['{"format":"heddle-training","version":1,"progress":{"steps":1,"applied":1}}', /does not describe/],
  ] as const) {
    await writeFile(`${saved.path}/checkpoint.json`, text);
    await refused(what);
  }
  step.dispose();
});

/** A file system that fails at its operation number `fatal`, and, where it was killed, at all after it. */
function failing(fatal: number, killed: boolean) {
  const files = nodeFileSystem();
  let count = 0;
  const guard = <T extends object>(target: T): T =>
    new Proxy(target, {
      get(object, key) {
        const method = Reflect.get(object, key) as unknown;
        if (typeof method !== 'function' || key === 'then') return method;
        return async (...args: unknown[]) => {
          const at = key === 'close' ? -1 : count++;
          if (at >= 0 && (at === fatal || (killed && at > fatal)))
            throw Object.assign(new Error('ENOSPC: no space left on device'), { code: 'ENOSPC' });
          const result: unknown = await Reflect.apply(method, object, args);
          return key === 'open' ? guard(result as object) : result;
        };
      },
    });
  return guard(files) as FileSystem;
}

test.each([false, true])(
  'a disk that fills up, or a program that is killed (%s), at any moment leaves the last checkpoint intact',
  async (killed) => {
    const { step, take, w } = network();
    await take();
    await openCheckpoints(path, { keepLast: 1, keepBest: 0 }).save(step, { data: 1 });
    const [good] = [[...(await w.data())]];
    await take();
    const better = [...(await w.data())];
    let fatal = 0;
    for (; ; fatal++) {
      const files = failing(fatal, killed);
      const error = await checkpointsOn(files, path, { keepLast: 1, keepBest: 0 })
        .save(step, { data: 2 })
        .then(
          () => undefined,
          (thrown: unknown) => thrown,
        );
      const checkpoints = openCheckpoints(path, { keepLast: 1, keepBest: 0 });
      const latest = (await checkpoints.latest())!;
      const fresh = network();
      await checkpoints.restore(latest, fresh.step);
      expect([...(await fresh.w.data())]).toEqual(latest.data === 1 ? good : better);
      fresh.step.dispose();
      fresh.w.dispose();
      if (!error) break;
      expect(error).toMatchObject({ code: 'ERR_CHECKPOINT' });
      expect((error as Error).message).toContain('no space left');
    }
    expect(fatal).toBeGreaterThan(15);
    expect(await names()).toEqual(['step-00000002']);
    step.dispose();
    w.dispose();
  },
);

test('numbers to keep that are none', () => {
  for (const options of [{ keepLast: 0 }, { keepLast: 1.5 }, { keepBest: -1 }])
    expect(() => openCheckpoints(path, options)).toThrow(/keep(Last|Best) must be/);
  expect(() => openCheckpoints('')).toThrow(/path of a folder/);
});
