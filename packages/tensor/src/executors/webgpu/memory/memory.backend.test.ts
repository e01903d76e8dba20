import { expect } from 'vitest';
import { onWebGpu, openOwnWebGpu } from '../../../../../../test-support/own-webgpu.ts';
import { backendName, test } from '../../../../../../test-support/suite.ts';
import { checkpoint } from '../../../autograd/checkpoint.ts';
import { valueAndGrad } from '../../../autograd/grad.ts';
import { isHeddleError, type OutOfMemoryError } from '../../../checks/errors.ts';
import { compile } from '../../../compile/compile.ts';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';

const input = (size: number) => Float32Array.from({ length: size }, (_, i) => Math.sin(i));
const chainOn = (device: Device, memoryBudget?: number) =>
  compile((x: Tensor) => x.matmul(x).softmax(-1).matmul(x), {
    device,
    inputs: [{ shape: [32, 32] }],
    name: 'chain',
    ...(memoryBudget === undefined ? {} : { memoryBudget }),
  });

async function refusal(run: () => Promise<unknown>): Promise<OutOfMemoryError> {
  const error = await run().then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(isHeddleError(error, 'ERR_OUT_OF_MEMORY'), String(error)).toBe(true);
  return error as OutOfMemoryError;
}

onWebGpu('memory of plans', () => {
  test('is known before anything is allocated, and is what running it then takes', async () => {
    const device = await openOwnWebGpu();
    const step = chainOn(device);
    const { memory, kernels } = await step.report();
    expect(device.memory()).toMatchObject({ live: 0, peak: 0 });
    expect(memory.total).toBe(memory.activations + memory.outputs + memory.inputs + memory.parameters);
    expect(memory).toMatchObject({ outputs: 4096, inputs: 4096 });
    expect(Math.max(...kernels.map(({ live }) => live))).toBe(memory.activations);
    await step(input(1024));
    expect(device.memory().live).toBe(memory.total);
    step.dispose();
    expect(device.memory().live).toBe(0);
    await device.dispose();
  });

  test('fits its budget exactly, and one byte less is refused, saying why', async () => {
    const device = await openOwnWebGpu();
    const { total } = (await chainOn(device).report()).memory;
    const enough = chainOn(device, total);
    await enough(input(1024));
    enough.dispose();
    const { peak } = device.memory();
    const small = chainOn(device, total - 1);
    const error = await refusal(() => small(input(1024)));
    expect(error).toMatchObject({ requested: total, budget: total - 1 });
    expect(error.message).toMatch(
      new RegExp(
        `^chain: a run takes ${total} bytes \\(activations \\d+ of which .*f32\\[32,32\\].*\\); its budget is ${total - 1}$`,
      ),
    );
    expect(error.holders[0]!.owner).toBe('activations');
    expect(device.memory()).toMatchObject({ live: 0, peak });
    await device.dispose();
    // the same of the device's own budget, of which others hold a part
    const tight = await openOwnWebGpu({ memoryBudget: total + 400 - 1 });
    const weight = tight.variable(input(100), { name: 'weight', owner: 'weights' });
    const other = await refusal(() => chainOn(tight)(input(1024)));
    expect(other.holders).toEqual([{ owner: 'weights', bytes: 400 }]);
    expect(other.message).toMatch(/^memory: chain asked for \d+ bytes \(activations .*weights: 400/);
    expect(tight.memory()).toMatchObject({ live: 400, peak: 400 });
    weight.dispose();
    await chainOn(tight)(input(1024));
    await tight.dispose();
  });

  test('of 16 checkpointed blocks is that of one block and what goes from one to the next', async () => {
    const device = await openOwnWebGpu();
    const [rows, width, inner] = [1024, 16, 64];
    const block = (x: Tensor, w: Tensor) => x.add(x.matmul(w).tanh().exp().matmul(w, { transposeB: true }));
    const activations = async (depth: number, layer: typeof block) => {
      const shapes = Array.from({ length: depth }, () => ({ shape: [width, inner] }));
      const step = compile(
        (x: Tensor, weights: readonly Tensor[]) =>
          valueAndGrad((list: readonly Tensor[]) => list.reduce(layer, x).sum())(weights),
        { device, inputs: [{ shape: [rows, width] }, shapes] },
      );
      const { memory } = await step.report();
      step.dispose();
      return memory.activations;
    };
    const boundary = 4 * rows * width;
    const [one, plain, again] = [
      await activations(1, checkpoint(block)),
      await activations(16, block),
      await activations(16, checkpoint(block)),
    ];
    // inside of a block: the product and what tanh and exp give, four times as wide as a boundary
    expect(one).toBeGreaterThanOrEqual(2 * 4 * boundary);
    // and what kernels that share dispatches may take more
    expect(again).toBeLessThanOrEqual(one + 16 * boundary + 2 ** 16);
    expect(plain).toBeGreaterThan(one + 16 * 4 * boundary);
    await device.dispose();
  });

  test('does not grow over a thousand replays, on the device and on the heap', async () => {
    const device = await openOwnWebGpu();
    const step = compile((x: Tensor) => x.mul(2).softmax(-1).sum(0), {
      device,
      inputs: [{ shape: ['T', 8] }],
      symbols: { T: 16 },
    });
    const runs = async (count: number) => {
      for (let i = 0; i < count; i++) {
        const y = await step(input(8 * (9 + (i % 8))));
        if (i % 50 === 0) await y.data();
      }
    };
    const collect = backendName === 'webgpu-browser' ? undefined : await collector();
    await runs(200);
    const before = device.memory();
    // compiled code and caches of the engine come and go: what leaks grows in every round
    let growth = Number.POSITIVE_INFINITY;
    for (let round = 0; round < 3 && growth > 300_000; round++) {
      collect?.();
      const heap = collect ? process.memoryUsage().heapUsed : 0;
      await runs(1000);
      collect?.();
      growth = Math.min(growth, collect ? process.memoryUsage().heapUsed - heap : 0);
      expect(device.memory()).toEqual(before);
    }
    expect(growth).toBeLessThan(300_000);
    step.dispose();
    await device.dispose();
  });

  test('is all given back, and leaks say what is not', async () => {
    const device = await openOwnWebGpu({ debug: true });
    const weight = device.variable(input(64), { shape: [8, 8], name: 'weight' });
    const step = compile((x: Tensor) => ({ y: x.matmul(weight).softmax(-1), update: weight.assign(weight.mul(0.5)) }), {
      device,
      inputs: [{ shape: [8, 8] }],
      name: 'step',
    });
    const { y } = await step(input(64));
    const kept = y.clone();
    await y.add(1).data();
    const leaks = await device.leaks();
    expect(leaks.map(({ owner }) => owner)).toContain('step');
    expect(leaks.find(({ owner }) => owner === 'variables')!.site).toContain('memory.backend.test');
    for (const held of [step, weight, kept]) held.dispose();
    expect(await device.leaks()).toEqual([]);
    expect(device.memory()).toMatchObject({ live: 0, owners: [] });
    await device.dispose();
    expect(device.memory()).toMatchObject({ live: 0, pooled: 0 });
  });

  test('is shared by plans of different sizes, which do not disturb each other', async () => {
    const device = await openOwnWebGpu();
    const softmaxed = (size: number) =>
      compile((x: Tensor) => x.matmul(x).softmax(-1).matmul(x).softmax(-1).matmul(x), {
        device,
        inputs: [{ shape: [size, size] }],
      });
    const small = softmaxed(8);
    const expected = [...(await (await small(input(64))).data())];
    // a larger plan replaces the buffers that the small one has bound
    const large = softmaxed(40);
    const results: Promise<ArrayLike<number>>[] = [];
    for (let i = 0; i < 4; i++) {
      const [a, b] = [small(input(64)), large(input(1600))];
      results.push(a.then((y) => y.data()));
      await b;
    }
    for (const result of results) expect([...Array.from(await result)]).toEqual(expected);
    const owner = device.memory().owners.find((each) => each.owner === 'activations')!;
    expect(owner.bytes).toBe((await large.report()).memory.activations);
    await device.dispose();
  });

  test('of outputs is overwritten by the next run, and using them then throws', async () => {
    const device = await openOwnWebGpu();
    const step = compile((x: Tensor) => x.add(1), { device, inputs: [{ shape: [1] }] });
    const first = await step(Float32Array.of(1));
    const [kept, read] = [first.clone(), first.data()];
    const second = await step(Float32Array.of(5));
    expect([...(await read)]).toEqual([2]);
    expect(() => first.add(1)).toThrow(/a later run/);
    expect([await kept.item(), await second.item()]).toEqual([2, 6]);
    step.dispose();
    expect(() => second.add(1)).toThrow(/a later run/);
    await device.dispose();
  });

  test('of a function that is disposed of while it runs is freed when the run is through', async () => {
    const device = await openOwnWebGpu();
    const step = chainOn(device);
    const running = step(input(1024)).catch((cause: unknown) => cause);
    await Promise.resolve();
    step.dispose();
    expect(isHeddleError(await running, 'ERR_DISPOSED')).toBe(true);
    await device.realize([device.ones([2]).add(1)]);
    expect(device.memory().owners.some(({ owner }) => owner === 'chain')).toBe(false);
    const again = chainOn(device);
    const y = await again(input(1024));
    const [reading, next] = [y.data(), again(input(1024)).catch((cause: unknown) => cause)];
    again.dispose();
    expect((await reading).length).toBe(1024);
    await next;
    expect(device.memory().owners.some(({ owner }) => owner === 'chain')).toBe(false);
    expect(await device.tensor([1]).add(1).item()).toBe(2);
    await device.dispose();
  });
});

/** The garbage collector of Node. */
async function collector(): Promise<() => void> {
  const [{ setFlagsFromString }, { runInNewContext }] = await Promise.all([import('node:v8'), import('node:vm')]);
  setFlagsFromString('--expose-gc');
  return runInNewContext('gc') as () => void;
}
