import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { isHeddleError } from '../checks/errors.ts';
import { symbolicDim } from '../dim.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { sizeScalar } from '../ops/create/creation.ts';
import { openReference } from '../reference.ts';
import { compile } from './compile.ts';

let device: Device;
beforeEach(async () => {
  device = await openReference();
});
afterEach(() => device.dispose());

const list = async (tensor: Tensor) => [...(await tensor.data())];
const failure = async (promise: Promise<unknown>): Promise<Error & { code?: string }> => {
  const error = await promise.then(
    () => undefined,
    (reason: Error) => reason,
  );
  expect(isHeddleError(error), String(error)).toBe(true);
  return error!;
};
/** A function that counts its traces. */
function counted<A extends readonly unknown[], R>(f: (...args: A) => R) {
  const traced = Object.assign(
    (...args: A) => {
      traced.times++;
      return f(...args);
    },
    { times: 0 },
  );
  return traced;
}

describe('a signature', () => {
  test('is traced once, and again for other shapes and dtypes', async () => {
    const f = counted((x: Tensor) => x.mul(2));
    const step = compile(f);
    const [a, b, c] = [device.tensor([1, 2]), device.tensor([3, 4]), device.tensor([5, 6, 7])];
    expect(await list(await step(a))).toEqual([2, 4]);
    expect(await list(await step(b))).toEqual([6, 8]);
    expect(f.times).toBe(1);
    expect(await list(await step(c))).toEqual([10, 12, 14]);
    expect(f.times).toBe(2);
    expect(await list(await step(device.tensor([1, 2], { dtype: 'i32' })))).toEqual([2, 4]);
    expect(f.times).toBe(3);
    expect(await list(await step(a))).toEqual([2, 4]);
    expect(f.times).toBe(3);
    step.dispose();
  });

  test('counts arguments that are no tensors, by their value', async () => {
    const f = counted((x: Tensor, how: unknown) => x.mul(typeof how === 'number' && Number.isFinite(how) ? how : 7));
    const step = compile(f);
    const x = device.tensor([1]);
    const values = [
      2,
      '2',
      null,
      undefined,
      true,
      'true',
      Number.NaN,
      'NaN',
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      -0,
      0,
      [],
      {},
      [[]],
      [2],
      { a: 2 },
      { b: 2 },
      ['a', 'b'],
      ['a b'],
      2n,
    ];
    for (const value of values) await step(x, value);
    expect(f.times).toBe(values.length);
    for (const value of [2, Number.NaN, { b: 2 }, ['a b'], null, 2n]) await step(x, value);
    expect(f.times).toBe(values.length);
    expect(await list(await step(x, -0))).toEqual([-0]);
    expect(await list(await step(x, 2))).toEqual([2]);
    step.dispose();
  });

  test('counts functions and objects of classes as themselves', async () => {
    const step = compile((x: Tensor, f: (t: Tensor) => Tensor) => f(x));
    const x = device.tensor([3]);
    const [double, square] = [(t: Tensor) => t.mul(2), (t: Tensor) => t.mul(t)];
    expect(await list(await step(x, double))).toEqual([6]);
    expect(await list(await step(x, square))).toEqual([9]);
    expect(await list(await step(x, double))).toEqual([6]);
    step.dispose();
  });

  test('keeps trees of arguments and results', async () => {
    const step = compile((p: { a: Tensor; rest: Tensor[] }, k: number) => ({
      sum: p.a.add(p.rest[0]!),
      parts: [p.a.mul(k), p.rest.length, 'text', null],
    }));
    const result = await step({ a: device.tensor([1]), rest: [device.tensor([2])] }, 10);
    expect(await list(result.sum)).toEqual([3]);
    expect(await list(result.parts[0] as Tensor)).toEqual([10]);
    expect(result.parts.slice(1)).toEqual([1, 'text', null]);
    step.dispose();
  });

  test('takes lazy tensors, which are computed first', async () => {
    const step = compile((x: Tensor) => x.add(1), { device });
    const described = compile((x: Tensor) => x.add(1), { device, inputs: [{ shape: ['T'] }], symbols: { T: 4 } });
    const lazy = device.tensor([1, 2]).mul(10);
    for (const each of [step, described]) expect(await list(await each(lazy))).toEqual([11, 21]);
    step.dispose();
    described.dispose();
  });

  test('has no room for host values', async () => {
    const step = compile((x: Tensor) => x.add(1), { device });
    const message = /argument \[0\] holds host values \(Float32Array\).*options\.inputs/;
    expect((await failure(step(Float32Array.of(1)))).message).toMatch(message);
    expect((await failure(step({ data: Float32Array.of(1), shape: [1] }))).message).toMatch(
      /\[0\]\.data holds host values/,
    );
  });
});

describe('described inputs', () => {
  const inputs = [{ shape: ['T', 2] }] as const;
  const symbols = { T: 8 };

  test('serve every size of a symbolic dimension from one trace', async () => {
    const f = counted((x: Tensor) => x.sum(1).mul(sizeScalar(x.device, x.shape[0]!)));
    const step = compile(f, { device, inputs: [...inputs], symbols });
    for (const rows of [1, 3, 8, 0, 2]) {
      const data = Float32Array.from({ length: rows * 2 }, (_, i) => i);
      const expected = Array.from({ length: rows }, (_, t) => (4 * t + 1) * rows);
      expect(await list(await step(data))).toEqual(expected);
      expect(await list(await step({ data, shape: [rows, 2] }))).toEqual(expected);
    }
    expect(await list(await step(device.tensor([[1, 2]])))).toEqual([3]);
    expect(f.times).toBe(1);
    step.dispose();
  });

  test('agree on a name that several have, and take sizes that none shows', async () => {
    const step = compile((a: Tensor, b: Tensor) => a.matmul(b), {
      device,
      inputs: [{ shape: ['M', 'K'] }, { shape: ['K', 2] }],
      symbols: { M: 4, K: 4 },
    });
    const a = { data: Float32Array.of(1, 2, 3), shape: [1, 3] };
    expect(await list(await step(a, new Float32Array(6).fill(1)))).toEqual([6, 6]);
    const error = await failure(step(a, new Float32Array(4)));
    expect(error).toMatchObject({ code: 'ERR_SHAPE' });
    expect(error.message).toMatch(/argument \[1\] must be \[K, 2\] with K = 3, got \[2, 2\]/);
    step.dispose();

    const hidden = compile((x: Tensor) => x.mul(device.arange(symbolicDim('S', 8), 'f32').sum()), {
      device,
      inputs: [{ shape: [] }],
    });
    expect(await (await hidden.run([Float32Array.of(2)], { symbols: { S: 4 } })).item()).toBe(12);
    expect((await failure(hidden(Float32Array.of(2)))).message).toMatch(/dimension S .* bound 8, got undefined/);
    hidden.dispose();
  });

  test('refuse sizes over the bound, dtypes and lengths that do not fit, and names without a bound', async () => {
    const step = compile((x: Tensor) => x.mul(2), { device, inputs: [...inputs], symbols });
    const message = async (fed: unknown) => (await failure(step(fed as Float32Array))).message;
    expect(await message(new Float32Array(18))).toMatch(/dimension T must be a whole number up to its bound 8, got 9/);
    expect(await message(new Float32Array(3))).toMatch(/must be \[T, 2\], got \[1\.5, 2\]/);
    expect(await message(Int32Array.of(1, 2))).toMatch(/argument \[0\] is f32, got Int32Array/);
    expect(await message(device.tensor([[1, 2]], { dtype: 'i32' }))).toMatch(/is f32, got i32/);
    expect(await message(device.tensor([1, 2]))).toMatch(/must be \[T, 2\].*got \[2\]/);
    expect(await message({ data: new Float32Array(4), shape: [4] })).toMatch(/got \[4\] of 4 values/);
    expect(await message({ data: new Float32Array(3), shape: [2, 2] })).toMatch(/got \[2, 2\] of 3 values/);
    expect(await message(undefined)).toMatch(/takes a tensor or a typed array, got undefined/);
    expect(await message(3)).toMatch(/takes a tensor or a typed array, got number/);
    step.dispose();
    const unbound = compile((x: Tensor) => x, { device, inputs: [{ shape: ['Z'] }] });
    expect((await failure(unbound(new Float32Array(1)))).message).toMatch(/dimension Z needs a bound/);
    const two = compile((x: Tensor) => x, { device, inputs: [{ shape: ['T', 'T'] }], symbols });
    expect((await failure(two(new Float32Array(4)))).message).toMatch(
      /several named sizes \[T, T\]: give \{ data, shape \}/,
    );
    const negative = compile((x: Tensor) => x, { device, inputs: [{ shape: [-2] }] });
    expect((await failure(negative(new Float32Array(2)))).message).toMatch(
      /sizes must be whole numbers from 0, got \[-2\]/,
    );
  });

  test('fix the arguments that they do not describe', async () => {
    const step = compile((x: Tensor, factor: number) => x.mul(factor), { device, inputs: [{ shape: [1] }, 3] });
    expect(await list(await step(Float32Array.of(2), 3))).toEqual([6]);
    expect((await failure(step(Float32Array.of(2), 4))).message).toMatch(/has fixed an argument to 3, got 4/);
    const extra = (step as (...args: unknown[]) => Promise<unknown>)(Float32Array.of(2), 3, 5);
    expect((await failure(extra)).message).toMatch(/takes 2 arguments/);
    step.dispose();
  });

  test('let a plan be prepared before its first run', async () => {
    const f = counted((x: Tensor) => x.mul(2));
    const step = compile(f, { device, inputs: [...inputs], symbols });
    expect(step.kernelCount()).toBeUndefined();
    await step.prepare({ T: 4 });
    expect(f.times).toBe(1);
    expect(step.kernelCount()).toBe(2);
    expect(step.explain()).toContain('mul');
    expect((await failure(step.prepare({ T: 9 }))).message).toMatch(/bound 8, got 9/);
    expect((await failure(step.prepare())).message).toMatch(/got undefined/);
    await step(new Float32Array(8));
    expect(f.times).toBe(1);
    step.dispose();
    const plain = compile((x: Tensor) => x);
    expect((await failure(plain.prepare())).message).toMatch(/prepare needs options\.inputs/);
  });
});

describe('outputs', () => {
  test('belong to the plan: the next run makes them stale, a clone stays', async () => {
    const step = compile((x: Tensor) => x.mul(2));
    const first = await step(device.tensor([1]));
    const kept = first.clone();
    const second = await step(device.tensor([5]));
    expect(await list(kept)).toEqual([2]);
    expect(await list(second)).toEqual([10]);
    for (const use of [() => first.add(1), () => first.data(), () => first.clone(), () => step(first)])
      expect(await failure((async () => use())())).toMatchObject({ code: 'ERR_STALE' });
    kept.dispose();
    step.dispose();
    expect(() => second.add(1)).toThrow(/a later run/);
  });

  test('are read in time when the read was asked for before the next run', async () => {
    const step = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [1] }] });
    const first = await step(Float32Array.of(1));
    const reading = first.data();
    await step(Float32Array.of(5));
    expect([...(await reading)]).toEqual([2]);
    step.dispose();
  });

  test('may be fed to the same plan, and to others', async () => {
    const step = compile((x: Tensor) => x.mul(2).add(1), { device });
    let x: Tensor = device.tensor([1]);
    const { live } = device.memory();
    for (let i = 0; i < 5; i++) x = await step(x);
    expect(await list(x)).toEqual([63]);
    const other = compile((t: Tensor) => t.neg());
    expect(await list(await other(x))).toEqual([-63]);
    expect(device.memory().live).toBe(live + 8 + 8); // one output each
    step.dispose();
    other.dispose();
    expect(device.memory().live).toBeLessThanOrEqual(live);
  });

  test('hold the same bytes run after run', async () => {
    const step = compile((x: Tensor) => [x.mul(2), x.add(1)], { device, inputs: [{ shape: [4] }] });
    await step(new Float32Array(4));
    const { live } = device.memory();
    for (let i = 0; i < 100; i++) await step(new Float32Array(4));
    expect(device.memory().live).toBeLessThanOrEqual(live);
    step.dispose();
    expect(device.memory().live).toBe(0);
  });

  test('that are arguments, constants or variables are values of their own', async () => {
    const [c, v] = [device.tensor([3]), device.variable([4])];
    const step = compile((x: Tensor) => ({ x, c, v, update: v.assign(x) }));
    const result = await step(device.tensor([9]));
    expect(await Promise.all([result.x, result.c, result.v].map(list))).toEqual([[9], [3], [4]]);
    expect(result.update).toBeUndefined();
    expect(await list(v)).toEqual([9]);
    step.dispose();
  });
});

describe('updates', () => {
  test('are effects: reads of the run see the value from before', async () => {
    const [a, b] = [device.variable([1]), device.variable([10])];
    const swap = compile(() => ({ sum: a.add(b), effects: [a.assign(b.mul(1)), b.assign(a.mul(1))] }), { device });
    const { sum, effects } = await swap();
    expect(effects).toEqual([undefined, undefined]);
    expect(await list(sum)).toEqual([11]);
    expect([await list(a), await list(b)]).toEqual([[10], [1]]);
    await swap();
    expect([await list(a), await list(b)]).toEqual([[1], [10]]);
    swap.dispose();
  });

  test('scatter overwrites rows, passes over negative ones, and reads see the rows from before', async () => {
    const cache = device.variable([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    const write = compile(
      (rows: Tensor, values: Tensor) => ({ before: cache.sum(), effect: cache.scatter(rows, values) }),
      { device, inputs: [{ shape: ['T'], dtype: 'i32' }, { shape: ['T', 2] }], symbols: { T: 3 } },
    );
    const { before } = await write(Int32Array.of(2, -1), Float32Array.of(7, 8, 9, 9));
    expect(await before.item()).toBe(12);
    expect(await list(cache)).toEqual([1, 1, 2, 2, 7, 8]);
    write.dispose();
  });

  test('of calls that were not waited for happen in the order of the calls', async () => {
    const v = device.variable([1]);
    const apply = compile((x: Tensor) => v.assign(v.mul(2).add(x)), { device });
    const three = device.tensor([3]);
    // the first argument is lazy and has to be computed; the second is there
    const calls = [apply(device.tensor([1]).mul(5)), apply(three)];
    const read = v.data(); // asked for after both
    await Promise.all(calls);
    expect([...(await read)]).toEqual([(1 * 2 + 5) * 2 + 3]);
    apply.dispose();
  });

  test('of different plans and of realize keep the order of calls too', async () => {
    const v = device.variable([1]);
    const add = compile((x: Tensor) => v.assign(v.add(x)), { device, inputs: [{ shape: [1] }] });
    const double = compile(() => v.assign(v.mul(2)), { device });
    const work = [
      add(Float32Array.of(1)),
      double(),
      device.realize([], [v.assign(v.add(10))]),
      double(),
      add(Float32Array.of(1)),
    ];
    expect(await list(v)).toEqual([((1 + 1) * 2 + 10) * 2 + 1]);
    await Promise.all(work);
    add.dispose();
    double.dispose();
  });

  test('that contradict each other in one run are refused', async () => {
    const v = device.variable([1, 2]);
    const rows = device.tensor([0], { dtype: 'i32' });
    const twice = compile((x: Tensor) => [v.assign(x), v.assign(x.mul(2))]);
    expect((await failure(twice(device.tensor([1, 2])))).message).toMatch(
      /variable 'variable' is assigned and changed again in one run/,
    );
    const both = compile((x: Tensor) => [v.scatter(rows, x.slice(0, 0, 1)), v.assign(x)]);
    expect((await failure(both(device.tensor([1, 2])))).message).toMatch(/assigned and changed again/);
    const rowsOnly = compile((x: Tensor) => [v.scatter(rows, x.slice(0, 0, 1)), v.scatter(rows.add(1), x.slice(0, 1))]);
    await rowsOnly(device.tensor([8, 9]));
    expect(await list(v)).toEqual([8, 9]);
  });

  test('are refused where they do not fit the variable', () => {
    const v = device.variable([1, 2], { name: 'w' });
    const frozen = device.variable([1], { name: 'ice', frozen: true });
    expect(() => v.assign(device.ones([3]))).toThrow(/assign: w has shape \[2\], got a value of \[3\]/);
    expect(() => v.assign(device.ones([2], 'i32'))).toThrow(/w is f32, got a value of i32/);
    expect(() => frozen.assign(device.ones([1]))).toThrow(/ice is frozen/);
    expect(() => v.scatter(device.ones([1]), device.ones([1]))).toThrow(/rows must be i32/);
    expect(() => v.scatter(device.ones([1], 'i32'), device.ones([2]))).toThrow(/w takes values of \[1\], got \[2\]/);
  });
});

describe('what a function uses from outside', () => {
  test('is fixed where it is a tensor, and read anew where it is a variable', async () => {
    const [weight, v] = [device.tensor([2]), device.variable([3])];
    const step = compile((x: Tensor) => x.mul(weight).add(v));
    const x = device.tensor([10]);
    expect(await list(await step(x))).toEqual([23]);
    await device.realize([], [v.assign(device.tensor([5]))]);
    expect(await list(await step(x))).toEqual([25]);
    weight.dispose();
    expect(await failure(step(x))).toMatchObject({ code: 'ERR_DISPOSED' });
    step.dispose();
  });

  test('ends with it: a variable that was disposed of', async () => {
    const v = device.variable([3]);
    const step = compile((x: Tensor) => x.mul(v));
    await step(device.tensor([1]));
    v.dispose();
    expect(await failure(step(device.tensor([1])))).toMatchObject({ code: 'ERR_DISPOSED' });
    step.dispose();
  });

  test('may not be an argument that escaped from a trace', async () => {
    let escaped: Tensor | undefined;
    const step = compile((x: Tensor) => {
      escaped = x.mul(2);
      return x.sum();
    });
    await step(device.tensor([1]));
    expect((await failure((async () => escaped!.data())())).message).toMatch(/used outside of its run/);
    step.dispose();
  });
});

describe('errors', () => {
  test('of the function come at the call and leave it usable', async () => {
    let fail = true;
    const step = compile((x: Tensor) => {
      if (fail) throw new Error('not yet');
      return x.mul(2);
    });
    const x = device.tensor([1]);
    await expect(step(x)).rejects.toThrow('not yet');
    fail = false;
    expect(await list(await step(x))).toEqual([2]);
    step.dispose();
  });

  test('a function that waits: it only records', async () => {
    const step = compile(async (x: Tensor) => x.mul(2));
    expect((await failure(step(device.tensor([1])))).message).toMatch(/must give its results at once, got a promise/);
  });

  test('a promise among the results, or one that fails later: neither ends the process', async () => {
    const unhandled: unknown[] = [];
    const note = (reason: unknown) => unhandled.push(reason);
    process.on('unhandledRejection', note);
    const nested = compile((x: Tensor) => ({ y: x, later: [Promise.reject(new Error('later'))] }));
    expect(await failure(nested(device.tensor([1])) as Promise<unknown>)).toMatchObject({
      code: 'ERR_ARGUMENT',
      message: expect.stringMatching(/got a promise as later\[0\]/),
    });
    const waiting = compile(async (x: Tensor) => {
      await x.data(); // an argument has no values while the function is recorded
      return x;
    });
    expect(await failure(waiting(device.tensor([1])))).toMatchObject({ code: 'ERR_ARGUMENT' });
    await new Promise((resolve) => setTimeout(resolve, 20));
    process.off('unhandledRejection', note);
    expect(unhandled).toEqual([]);
  });

  test('data() of a tensor that is disposed of or stale rejects, and throws nothing', async () => {
    const gone = device.tensor([1]);
    gone.dispose();
    for (const read of [gone.data(), gone.item(), gone.toArray(), gone.realize(), device.realize([gone])])
      expect(await failure(read as Promise<unknown>)).toMatchObject({ code: 'ERR_DISPOSED' });
    const step = compile((x: Tensor) => x.mul(2));
    const stale = await step(device.tensor([1]));
    await step(device.tensor([2]));
    for (const read of [stale.data(), stale.item(), stale.toArray()])
      expect(await failure(read as Promise<unknown>)).toMatchObject({ code: 'ERR_STALE' });
    step.dispose();
  });

  test('a device that cannot be known, or is another one', async () => {
    expect((await failure(compile(() => 3)())).message).toMatch(
      /no argument is a tensor; name the device in options.device/,
    );
    const other = await openReference();
    const step = compile((x: Tensor) => x.mul(2), { device });
    expect((await failure(step(other.tensor([1])))).message).toMatch(/argument \[0\] must be on the function's device/);
    const foreign = other.ones([1]).add(1);
    expect((await failure(device.realize([foreign]))).message).toMatch(
      /realize: takes tensors of this reference device/,
    );
    expect((await failure(device.read(foreign))).message).toMatch(/read: takes tensors of this reference device/);
    expect((await failure(device.realize([3 as never]))).message).toMatch(/got the number 3/);
    await other.dispose();
  });

  test('arguments that were disposed of, also those that are computed first', async () => {
    const step = compile((x: Tensor) => x.mul(2));
    const x = device.tensor([1]);
    const lazy = x.add(1);
    x.dispose();
    expect(await failure(step(x))).toMatchObject({ code: 'ERR_DISPOSED' });
    expect(await failure(step(lazy))).toMatchObject({ code: 'ERR_DISPOSED' });
    step.dispose();
  });

  test('a device that was disposed of', async () => {
    const step = compile((x: Tensor) => x.mul(2));
    const x = device.tensor([1]);
    await step(x);
    await device.dispose();
    expect(await failure(step(x))).toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('a budget that the outputs do not fit, leaving the device usable', async () => {
    const small = await openReference({ memoryBudget: 100 });
    const step = compile((x: Tensor) => x.expand([100]).mul(2), { name: 'big step' });
    const x = small.tensor([1]);
    const error = await failure(step(x));
    expect(error).toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
    expect(error.message).toContain('big step asked for 800 bytes');
    expect(await list(x.add(1))).toEqual([2]);
    step.dispose();
    await small.dispose();
  });
});

describe('dispose', () => {
  test('frees plans and outputs, is idempotent, and later calls are refused', async () => {
    const step = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [4] }] });
    const output = await step(new Float32Array(4));
    expect(device.memory().live).toBe(32);
    step.dispose();
    step.dispose();
    expect(device.memory().live).toBe(0);
    expect(() => output.add(1)).toThrow();
    expect(await failure(step(new Float32Array(4)))).toMatchObject({ code: 'ERR_DISPOSED' });
  });

  test('in the middle of a first call ends that call and keeps nothing', async () => {
    const step = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [4] }] });
    const call = step(new Float32Array(4));
    step.dispose();
    expect(await failure(call)).toMatchObject({ code: 'ERR_DISPOSED' });
    expect(device.memory().live).toBe(0);
  });
});

test('a tensor that is realized twice at once is computed for one owner', async () => {
  const x = device.tensor([1, 2]);
  const y = x.mul(2);
  await Promise.all([y.realize(), y.realize(), device.realize([y, y])]);
  expect(device.memory().live).toBe(32);
  const z = x.add(1);
  const realizing = z.realize();
  z.dispose();
  await realizing;
  y.dispose();
  x.dispose();
  expect(device.memory().live).toBe(0);
});
