import { expect, test } from 'vitest';
import { onnxOnly } from '../../../../../test-support/onnx.ts';
import { DeviceError, DisposedError, OutOfMemoryError, ShapeError } from '../../checks/errors.ts';
import { compile } from '../../compile/compile.ts';
import { f16ToF32 } from '../../float16.ts';
import { defineOp } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { openOnnx } from '../../onnx.ts';
import { concat } from '../../ops/movement/concat.ts';
import { loadRuntime } from './runtime.ts';
import type { OnnxStorage } from './storage.ts';

const numbers = async (tensor: Tensor) => [...(await tensor.data())];

onnxOnly('sessions', (open) => {
  test('one serves every size of the symbolic dimensions', async () => {
    const { device, executor } = await open();
    const weights = device.variable(
      [
        [1, 2],
        [3, 4],
      ],
      { frozen: true },
    );
    const step = compile((x: Tensor) => x.matmul(weights).sum(1), {
      device,
      inputs: [{ shape: ['T', 2] }],
      symbols: { T: 64 },
    });
    expect(await numbers(await step(Float32Array.of(1, 1)))).toEqual([10]);
    expect(await numbers(await step(Float32Array.of(1, 0, 0, 1, 1, 1)))).toEqual([3, 7, 10]);
    expect(await numbers(await step(new Float32Array(0)))).toEqual([]);
    expect(await numbers(await step(Float32Array.of(2, 2)))).toEqual([20]);
    expect(executor.sessionCount).toBe(2); // one for 0
  });

  test('equal single realizations share one', async () => {
    const { device, executor } = await open();
    for (const value of [1, 2, 3]) {
      const x = device.tensor([value, value]);
      expect(await numbers(x.mul(x))).toEqual([value * value, value * value]);
    }
    expect(executor.sessionCount).toBe(1);
  });

  test('nothing to compute needs none', async () => {
    const { device, executor } = await open();
    const state = device.variable([1, 2]);
    const replace = compile((x: Tensor) => [state.assign(x), state], { device, inputs: [{ shape: [2] }] });
    const [, before] = await replace(Float32Array.of(5, 6));
    expect(await numbers(before as Tensor)).toEqual([1, 2]);
    expect(await numbers(state)).toEqual([5, 6]);
    expect(executor.sessionCount).toBe(0);
  });

  test('frozen variables and constants are in the model, others are fed', async () => {
    const { device } = await open();
    const frozen = device.variable([1, 2], { frozen: true });
    const trained = device.variable([10, 20]);
    const constant = device.tensor([100, 200]);
    const f = compile((x: Tensor) => x.add(frozen).add(trained).add(constant), { device, inputs: [{ shape: [2] }] });
    expect(await numbers(await f(Float32Array.of(0, 0)))).toEqual([111, 222]);
    expect(f.explain()).toContain('initialisers: 2, 16 bytes');
    expect(f.explain()).toMatch(/inputs\n {2}input0: f32 \[2\]\n {2}variable\d: f32 \[2\]\nnodes/);
    await device.realize([], [trained.assign(device.tensor([0, 0]))]);
    expect(await numbers(await f(Float32Array.of(0, 0)))).toEqual([101, 202]);
  });

  test('f16 weights may be in the model or fed', async () => {
    const { device } = await open();
    const values = Uint16Array.of(0x3c00, 0x4000, 0x4200, 0x4400); // 1, 2, 3, 4
    for (const frozen of [true, false]) {
      const weights = device.variable(values, { shape: [2, 2], frozen });
      const f = compile((x: Tensor) => x.matmul(weights).tanh().mul(2), {
        device,
        inputs: [{ shape: [1, 2], dtype: 'f16' }],
      });
      const result = await f(Uint16Array.of(0x3800, 0xb800)); // 0.5, -0.5
      expect(result.dtype).toBe('f16');
      const [a, b] = f16ToF32((await result.data()) as Uint16Array);
      expect(a).toBeCloseTo(2 * Math.tanh(-1), 2);
      expect(b).toBeCloseTo(2 * Math.tanh(-1), 2);
    }
  });

  test('results that are constants, inputs or given twice have values of their own', async () => {
    const { device } = await open();
    const f = compile((x: Tensor) => [x.device.full([], 7), x, x.add(1), x.add(1), x.add(1).reshape([1, 2])], {
      device,
      inputs: [{ shape: [2] }],
    });
    const input = Float32Array.of(1, 2);
    const results = await f(input);
    expect(await Promise.all(results.map(numbers))).toEqual([[7], [1, 2], [2, 3], [2, 3], [2, 3]]);
    const arrays = results.map((tensor) => (tensor.storage as OnnxStorage).data);
    expect(new Set([input, ...arrays].map(({ buffer }) => buffer)).size).toBe(6);
  });
});

onnxOnly('feeds', (open) => {
  test('host arrays are read in place and wrapped once', async () => {
    const { device, executor } = await open();
    const f = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [2] }] });
    let wrapped = 0;
    const { Tensor: Wrapper } = executor.runtime;
    const counting = new Proxy(Wrapper, {
      construct(target, args) {
        wrapped++;
        return Reflect.construct(target, args) as object;
      },
    });
    Object.defineProperty(executor, 'runtime', { value: { ...executor.runtime, Tensor: counting } });
    const input = Float32Array.of(1, 2);
    expect(await numbers(await f(input))).toEqual([2, 4]);
    input[0] = 5;
    expect(await numbers(await f(input))).toEqual([10, 4]);
    expect(wrapped).toBe(1);
  });

  test('shared memory is copied', async () => {
    const { device } = await open();
    const f = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [2] }] });
    const shared = new Float32Array(new SharedArrayBuffer(8));
    shared.set([1, 2]);
    expect(await numbers(await f(shared))).toEqual([2, 4]);
    shared[0] = 4;
    expect(await numbers(await f(shared))).toEqual([8, 4]);
  });

  test('a view into a larger array is read where it lies', async () => {
    const { device } = await open();
    const f = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [2] }] });
    expect(await numbers(await f(Float32Array.of(9, 9, 1, 2, 9).subarray(2, 4)))).toEqual([2, 4]);
  });

  test('an output may be the next input', async () => {
    const { device } = await open();
    const f = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [2] }] });
    let x = await f(Float32Array.of(1, 3));
    for (let i = 0; i < 3; i++) x = await f(x);
    expect(await numbers(x)).toEqual([16, 48]);
  });

  test('arrays that do not fit are refused', async () => {
    const { executor, device } = await open();
    const f = compile((x: Tensor) => x.mul(2), { device, inputs: [{ shape: [2] }] });
    await f(Float32Array.of(1, 3));
    const x = device.tensor([1, 2]);
    await expect(f(x.reshape([1, 2]))).rejects.toThrow(ShapeError);
    expect(executor.memory().owners).not.toEqual([]);
  });
});

onnxOnly('updates', (open) => {
  test('are applied after every read', async () => {
    const { device } = await open();
    const [a, b] = [device.variable([1, 2]), device.variable([10, 20])];
    const swap = compile(() => ({ sum: a.add(b), updates: [a.assign(b), b.assign(a)] }), { device, inputs: [] });
    expect(await numbers((await swap()).sum)).toEqual([11, 22]);
    expect([await numbers(a), await numbers(b)]).toEqual([
      [10, 20],
      [1, 2],
    ]);
  });

  test('keep a computed array to themselves', async () => {
    const { device } = await open();
    const [a, b] = [device.variable([1, 2]), device.variable([0, 0])];
    const next = compile(
      () => {
        const doubled = a.mul(2);
        return { doubled, updates: [a.assign(doubled), b.assign(doubled)] };
      },
      { device, inputs: [] },
    );
    const { doubled } = await next();
    await device.realize([], [a.assign(device.tensor([7, 7]))]);
    expect([await numbers(doubled), await numbers(a), await numbers(b)]).toEqual([
      [2, 4],
      [7, 7],
      [2, 4],
    ]);
  });

  test('scatter rows, passing over negative ones', async () => {
    const { device, executor } = await open();
    const table = device.zeroVariable([5, 2]);
    const write = compile((rows: Tensor, x: Tensor) => table.scatter(rows, x.mul(10)), {
      device,
      inputs: [{ shape: ['T'], dtype: 'i32' }, { shape: ['T', 2] }],
      symbols: { T: 8 },
    });
    await write(Int32Array.of(3, -1, 1, 2), Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8));
    expect(await numbers(table)).toEqual([0, 0, 50, 60, 70, 80, 10, 20, 0, 0]);
    await write(Int32Array.of(4), Float32Array.of(9, 9));
    expect(await numbers(table)).toEqual([0, 0, 50, 60, 70, 80, 10, 20, 90, 90]);
    await write(new Int32Array(0), new Float32Array(0));
    expect(executor.sessionCount).toBe(2); // one for 0
  });

  test('scatter from the variable itself reads what was there before', async () => {
    const { device } = await open();
    const table = device.variable([1, 2, 3, 4], { shape: [4, 1] });
    await device.realize([], [table.scatter(device.tensor(Int32Array.of(1, 2, 3, 0)), table)]);
    expect(await numbers(table)).toEqual([4, 1, 2, 3]);
  });

  test('write nothing where a row does not exist', async () => {
    const { device } = await open();
    const [a, table] = [device.variable([1]), device.zeroVariable([2, 1], { name: 'table' })];
    const rows = device.tensor(Int32Array.of(0, 2));
    const updates = [a.assign(device.tensor([5])), table.scatter(rows, device.tensor([[1], [2]]))];
    await expect(device.realize([], updates)).rejects.toThrow(/rows of table must be below 2, got 2 at place 1/);
    expect([await numbers(a), await numbers(table)]).toEqual([[1], [0, 0]]);
  });

  test('take effect in the order of the calls', async () => {
    const { device } = await open();
    const state = device.variable([1]);
    const double = compile(() => state.assign(state.mul(2)), { device, inputs: [] });
    const increment = compile(() => state.assign(state.add(1)), { device, inputs: [] });
    await Promise.all([double(), increment(), double(), increment()]);
    expect(await numbers(state)).toEqual([7]);
  });
});

onnxOnly('memory', (open) => {
  test('is refused beyond the budget, before anything is computed', async () => {
    const { device, executor } = await open({ memoryBudget: 1000 });
    const x = device.tensor(new Float32Array(100));
    expect(() => device.tensor(new Float32Array(200))).toThrow(OutOfMemoryError);
    const both = concat([x, x], 0);
    await expect(both.realize()).rejects.toThrow(/tensors asked for 800 bytes; the budget is 1000, of which 400/);
    expect(executor.memory().live).toBe(400);
    expect(await numbers(x.sum())).toEqual([0]);
    expect(executor.memory().live).toBe(400);
  });

  test('counts weights inside programs, and outputs that a program owns', async () => {
    const { device } = await open();
    const weights = device.variable(new Float32Array(100), { frozen: true, owner: 'weights' });
    const f = compile((x: Tensor) => x.add(weights), {
      device,
      inputs: [{ shape: ['T', 100] }],
      symbols: { T: 4 },
      name: 'f',
    });
    await f(new Float32Array(300));
    const owned = () => Object.fromEntries(device.memory().owners.map(({ owner, bytes }) => [owner, bytes]));
    expect(owned()).toEqual({ weights: 400, f: 400 + 1200 });
    await f(new Float32Array(100));
    expect(owned()).toEqual({ weights: 400, f: 400 + 400 });
    f.dispose();
    expect(owned()).toEqual({ weights: 400 });
    expect(device.memory()).toMatchObject({ live: 400, runtimeArena: undefined });
  });

  test('weights that do not fit are refused before a session is made', async () => {
    const { device, executor } = await open({ memoryBudget: 600 });
    const weights = device.variable(new Float32Array(100), { frozen: true });
    const f = compile((x: Tensor) => x.add(weights), { device, inputs: [{ shape: [100] }] });
    await expect(f(new Float32Array(100))).rejects.toThrow(OutOfMemoryError);
    expect(executor.sessionCount).toBe(0);
    expect(executor.memory().live).toBe(400);
  });

  test('weights of more than 64 MiB are external data of the model, held once by the device', async () => {
    const { device, executor } = await open();
    const { InferenceSession } = executor.runtime;
    const models: { bytes: number; external: number }[] = [];
    const create: typeof InferenceSession.create = (model, options) => {
      const external = (options['externalData'] ?? []) as readonly { readonly data: Uint8Array }[];
      models.push({ bytes: model.byteLength, external: external.reduce((sum, { data }) => sum + data.byteLength, 0) });
      return InferenceSession.create(model, options);
    };
    Object.defineProperty(executor, 'runtime', { value: { ...executor.runtime, InferenceSession: { create } } });
    const [rows, columns] = [4097, 4096];
    const values = new Float32Array(rows * columns).fill(0.5);
    values[columns] = 2;
    const weights = device.variable(values, { shape: [rows, columns], frozen: true });
    const f = compile((row: Tensor) => weights.take(row), { device, inputs: [{ shape: [1], dtype: 'i32' }] });
    expect((await numbers(await f(Int32Array.of(1)))).slice(0, 2)).toEqual([2, 0.5]);
    expect(models).toEqual([{ bytes: expect.any(Number), external: 4 * rows * columns }]);
    expect(models[0]!.bytes).toBeLessThan(2000);
    f.dispose();
  });

  test('a failed run leaves nothing behind', async () => {
    const { device } = await open();
    const x = device.tensor([3, 5]);
    const before = device.memory().live;
    await expect(recordOne(failing, [x], {}).realize()).rejects.toThrow(DeviceError);
    expect(device.memory().live).toBeLessThanOrEqual(before);
  });
});

/** Gives the runtime a reshape that cannot be done. */
const failing = defineOp({
  name: 'failing',
  shape: ([x]) => [x!],
  lower: {
    onnx: {
      emit: (builder, [x]) => builder.op('Reshape', [x!, builder.op('Cast', [x!], { attributes: { to: 7 } })]),
    },
  },
});

onnxOnly('errors and disposal', (open) => {
  test('errors of the runtime name the operation', async () => {
    const { device } = await open();
    const x = device.tensor([3, 5]);
    await expect(recordOne(failing, [x], {}).data()).rejects.toThrow(/eager programs.*failing0\.Reshape/s);
    const unknown = defineOp({
      name: 'unknown',
      shape: ([x]) => [x!],
      lower: { onnx: { emit: (builder, [x]) => builder.op('NoSuchOperator', [x!]) } },
    });
    await expect(recordOne(unknown, [x], {}).data()).rejects.toThrow(/refuses.*NoSuchOperator/s);
    const wrong = defineOp({
      name: 'wrong',
      shape: ([x]) => [x!],
      lower: { onnx: { emit: (builder, [x]) => builder.op('Concat', [x!, x!], { attributes: { axis: 0 } }) } },
    });
    await expect(recordOne(wrong, [x], {}).data()).rejects.toThrow(DeviceError);
  });

  test('runs after disposal are refused', async () => {
    const { device, executor } = await open();
    const x = device.tensor([1, 2]);
    const f = compile((y: Tensor) => y.mul(2), { device, inputs: [{ shape: [2] }] });
    await f(x);
    const program = await executor.compile(
      { inputs: [], constants: [], variables: [], nodes: [], outputs: [], updates: [], symbols: [] },
      { owner: 'test', ownOutputs: true },
    );
    program.dispose();
    program.dispose();
    await expect(program.run([], {})).rejects.toThrow(DisposedError);
    await device.dispose();
    await device.dispose();
    expect(() => x.mul(2)).toThrow(DisposedError);
    expect(() => executor.create({ shape: [1], dtype: 'f32' }, 'test')).toThrow(DisposedError);
    expect(executor.memory()).toMatchObject({ live: 0, owners: [] });
  });

  test('a program that is disposed of while it runs finishes first', async () => {
    const { device } = await open();
    const f = compile((y: Tensor) => y.mul(2).sum(), { device, inputs: [{ shape: [2] }] });
    await f(Float32Array.of(1, 2));
    const running = f(Float32Array.of(3, 4));
    f.dispose();
    await expect(running).resolves.toBeDefined();
    expect(device.memory().live).toBe(0);
  });

  test('a runtime that is not installed is named', async () => {
    await expect(loadRuntime('no-such-runtime')).rejects.toThrow(DeviceError);
    await expect(loadRuntime('no-such-runtime')).rejects.toThrow(/npm install no-such-runtime/);
  });

  test('options that make no sense are refused', async () => {
    await expect(openOnnx({ threads: 0 })).rejects.toThrow(/threads must be a positive integer/);
  });

  test('a runtime can be passed', async () => {
    const runtime = await loadRuntime();
    const { device, executor } = await open({ runtime });
    expect(executor.runtime).toBe(runtime);
    expect(await numbers(device.tensor([1, 2]).mul(3))).toEqual([3, 6]);
  });

  test('a process that disposes of its device ends', async () => {
    const { execFile } = await import('node:child_process');
    const { promisify } = await import('node:util');
    const { fileURLToPath } = await import('node:url');
    const root = fileURLToPath(new URL('../../../../..', import.meta.url));
    const script = `
      import { openOnnx } from '@heddle/tensor/onnx';
      const device = await openOnnx({ threads: 2 });
      const x = device.tensor(new Float32Array(2 ** 17));
      console.log((await x.add(1).sum().item()));
      await device.dispose();`;
    const args = ['--import', 'tsx', '--conditions=@heddle/source', '--input-type=module', '-e', script];
    const { stdout } = await promisify(execFile)(process.execPath, args, { cwd: root, timeout: 20_000 });
    expect(stdout.trim()).toBe(String(2 ** 17));
  });
});
