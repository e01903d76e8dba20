import { valueAndGrad } from '../autograd/grad.ts';
import { checkArguments } from '../checks/check-arguments.ts';
import { isHeddleError } from '../checks/errors.ts';
import { compile } from '../compile/compile.ts';
import type { DType } from '../dtype.ts';
import type { Device } from '../graph/device.ts';
import { defineOp } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { expectAllClose } from './all-close.ts';
import { ContractError, holds } from './contract-error.ts';
import { contractPrograms } from './contract-programs.ts';

/** One rule that an executor keeps. */
export interface ExecutorContractCase {
  readonly name: string;
  /** @throws ContractError where the rule is broken */
  run(): Promise<void>;
}

/** Opens a device over the executor that is tested; each rule opens and disposes of its own. */
export type OpenDevice = (options: { readonly memoryBudget?: number }) => Promise<Device>;

const samples: Readonly<Partial<Record<DType, readonly number[]>>> = {
  f32: [0, -1.5, 3.25, 1e30],
  f16: [0, -1.5, 3.25, 1024],
  i32: [0, -1, 2147483647, -2147483648],
  u32: [0, 1, 4294967295, 7],
  bool: [0, 1, 1, 0],
};

/**
 * The rules of `Executor`, as a device over it shows them: values of every dtype there and back, programs of operations
 * against the reference executor, symbolic dimensions, updates after reads, memory that is counted and given back, errors.
 *
 * Framework-free: run each case in a test of its own.
 * ```ts
 * for (const { name, run } of executorContract(async (options) => createDevice(new MyExecutor(options)))) test(name, run);
 * ```
 * What fails throws in its case's `run`.
 */
export function executorContract(open: OpenDevice): readonly ExecutorContractCase[] {
  checkArguments('executorContract', 'function', { open });
  const rule = (
    name: string,
    check: (device: Device) => Promise<void>,
    options: { readonly memoryBudget?: number } = {},
  ): ExecutorContractCase => ({
    name,
    async run() {
      const device = await open(options);
      try {
        await check(device);
      } finally {
        await device.dispose();
      }
    },
  });
  return [
    rule('keeps values of every dtype', keepsValues),
    rule('reads the values of the time of the call', readsInOrder),
    ...contractPrograms.map(({ name, check }) => rule(`computes ${name} as the reference does`, check)),
    rule('runs one program for all sizes of symbolic dimensions', namedDimensions),
    rule('applies updates after all reads', updatesAfterReads),
    rule('scatters rows, passing over negative ones', scattersRows),
    rule('gives what it was given', unchangedOutputs),
    rule('decomposes what it has no lowering of', decomposes),
    rule('counts bytes, and gives them back', countsBytes),
    rule('refuses what the budget does not allow, and goes on', refuses, { memoryBudget: 4096 }),
    rule('frees its programs', freesPrograms),
    rule('throws after it was disposed of', throwsWhenDisposed),
  ];
}

async function keepsValues(device: Device): Promise<void> {
  for (const [dtype, values] of Object.entries(samples) as [DType, readonly number[]][]) {
    const tensor = device.tensor(Float64Array.from(values), { dtype, shape: [2, 2] });
    await expectAllClose(tensor, Float64Array.from(values), { relative: 1e-7, absolute: 0 });
    const copy = tensor.clone();
    tensor.dispose();
    await expectAllClose(copy, Float64Array.from(values), { relative: 1e-7, absolute: 0 });
    holds((await device.zeros([0, 3], dtype).data()).length === 0, `${dtype} [0, 3] has no values`);
  }
}

async function readsInOrder(device: Device): Promise<void> {
  const variable = device.variable([1, 2, 3]);
  const before = variable.data();
  await device.realize([], [variable.assign(variable.mul(10))]);
  await expectAllClose(await before, [1, 2, 3]);
  await expectAllClose(variable, [10, 20, 30]);
}

async function namedDimensions(device: Device): Promise<void> {
  const step = compile((x: Tensor) => ({ sums: x.sum(1), total: x.mean() }), {
    device,
    inputs: [{ shape: ['T', 2] }],
    symbols: { T: 9 },
  });
  for (const rows of [3, 1, 9, 4]) {
    const values = Float32Array.from({ length: 2 * rows }, (_, i) => i);
    const { sums, total } = await step(values);
    await expectAllClose(
      sums,
      Array.from({ length: rows }, (_, i) => 4 * i + 1),
    );
    await expectAllClose(total, (2 * rows - 1) / 2);
  }
  step.dispose();
}

async function updatesAfterReads(device: Device): Promise<void> {
  const [a, b] = [device.variable([1, 2]), device.variable([3, 4])];
  const swap = compile(() => ({ sum: a.add(b), updates: [a.assign(b), b.assign(a)] }), { device });
  for (const [left, right] of [
    [
      [3, 4],
      [1, 2],
    ],
    [
      [1, 2],
      [3, 4],
    ],
  ] as const) {
    const { sum } = await swap();
    await expectAllClose(sum, [4, 6]);
    await expectAllClose(a, left);
    await expectAllClose(b, right);
  }
  swap.dispose();
}

async function scattersRows(device: Device): Promise<void> {
  const table = device.variable([
    [1, 1],
    [2, 2],
    [3, 3],
  ]);
  const rows = device.tensor([2, -1, 0], { dtype: 'i32' });
  await device.realize(
    [],
    [
      table.scatter(
        rows,
        device.tensor([
          [7, 8],
          [9, 9],
          [5, 6],
        ]),
      ),
    ],
  );
  await expectAllClose(table, [
    [5, 6],
    [2, 2],
    [7, 8],
  ]);
}

async function unchangedOutputs(device: Device): Promise<void> {
  const weight = device.variable([5, 6]);
  const step = compile((x: Tensor) => [x, weight, x.add(weight), x], { device });
  const x = device.tensor([1, 2]);
  const outputs = await step(x);
  const expected = [
    [1, 2],
    [5, 6],
    [6, 8],
    [1, 2],
  ];
  for (const [i, output] of outputs.entries()) await expectAllClose(output, expected[i]!);
  step.dispose();
  await expectAllClose(x, [1, 2]);
}

async function decomposes(device: Device): Promise<void> {
  const cube = defineOp<Readonly<Record<never, never>>>({
    name: 'cube',
    shape: ([x]) => [{ shape: x!.shape, dtype: x!.dtype }],
    decompose: ([x]) => [x!.mul(x!).mul(x!)],
  });
  const x = device.tensor([1, -2, 3]);
  await expectAllClose(recordOne(cube, [x], {}), [1, -8, 27]);
  const { grads } = valueAndGrad((a: Tensor) => recordOne(cube, [a], {}).sum())(x);
  await expectAllClose(grads[0]!, [3, 12, 27]);
}

async function countsBytes(device: Device): Promise<void> {
  const before = device.memory().live;
  const tensor = device.tensor(new Float32Array(1000));
  holds(
    device.memory().live >= before + 4000,
    `1000 values of f32 are counted, got ${device.memory().live - before} bytes`,
  );
  const result = await tensor.mul(2).realize();
  holds(device.memory().live >= before + 8000, 'what is realized is counted');
  for (const held of [tensor, result]) {
    held.dispose();
    held.dispose();
  }
  await device.trim();
  const { live, peak } = device.memory();
  holds(live === before, `all is given back, got ${live - before} bytes more than before`);
  holds(peak >= before + 8000, `the peak stays, got ${peak}`);
}

async function refuses(device: Device): Promise<void> {
  const { live } = device.memory();
  await fails('ERR_OUT_OF_MEMORY', () => device.tensor(new Float32Array(10_000)));
  holds(device.memory().live === live, 'what is refused is not counted');
  await expectAllClose(device.tensor([1, 2]).add(1), [2, 3]);
}

async function freesPrograms(device: Device): Promise<void> {
  const x = device.tensor([1, 2, 3]);
  const { live } = device.memory();
  for (let i = 1; i < 4; i++) {
    const step = compile((a: Tensor) => a.mul(i).softmax(), { device });
    await step(x);
    step.dispose();
    step.dispose();
  }
  await device.trim();
  holds(device.memory().live === live, `programs leave nothing, got ${device.memory().live - live} bytes`);
}

async function throwsWhenDisposed(device: Device): Promise<void> {
  const x = device.tensor([1]);
  x.dispose();
  await fails('ERR_DISPOSED', () => x.data());
  await device.dispose();
  await device.dispose();
  await fails('ERR_DISPOSED', () => device.tensor([1]));
}

async function fails(code: string, f: () => unknown): Promise<void> {
  try {
    await f();
  } catch (error) {
    if (isHeddleError(error, code)) return;
    throw new ContractError(`expected an error of code ${code}, got ${error}`);
  }
  throw new ContractError(`expected an error of code ${code}, got none`);
}
