import { describe, expect, test } from 'vitest';
import { createDevice } from '../create-device.ts';
import type { HostArray } from '../dtype.ts';
import { ReferenceExecutor } from '../executors/reference/executor.ts';
import type { Storage } from '../graph/executor.ts';
import { defineOp, type Op, type OpDefinition } from '../graph/op.ts';
import { recordOne } from '../graph/record.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openReference } from '../reference.ts';
import { type AppliedCase, operationContract } from './operation-contract.ts';

/** x / (1 + |x|), with a part that may be wrong. */
function softsign(wrong: Partial<OpDefinition<null>> = {}): (x: Tensor) => Tensor {
  const op: Op<null> = defineOp<null>({
    name: 'softsign',
    shape: ([x]) => [x!],
    gradient: ({ inputs: [x], outputGradients: [g] }) => [g!.div(x!.abs().add(1).pow(2))],
    lower: { reference: { elementwise: () => (x) => x! / (1 + Math.abs(x!)) } },
    ...wrong,
  });
  return (x) => recordOne(op, [x], null);
}

const row = (f: AppliedCase['f'], more: Partial<AppliedCase> = {}): AppliedCase => ({
  name: 'softsign',
  inputs: [{ shape: [2, 2], dtype: 'f32', values: [-1.5, 0.25, 2, 4] }],
  f,
  ...more,
});

/** What the contract says of a case on the reference executor, or on another; undefined where it holds. */
async function failure(cases: AppliedCase, executor = new ReferenceExecutor({})): Promise<string | undefined> {
  const device = createDevice(executor);
  try {
    for (const { run } of operationContract([cases], () => device)) await run();
    expect(device.memory().live).toBe(0);
    return undefined;
  } catch (error) {
    return (error as Error).message;
  } finally {
    await device.dispose();
  }
}

/** Computes a little more than the reference. */
class Inexact extends ReferenceExecutor {
  override async read(storage: Storage): Promise<HostArray> {
    const values = await super.read(storage);
    return values instanceof Float32Array ? values.map((value) => value * 1.0001) : values;
  }
}

describe('the contract of an operation', () => {
  test('holds for one that is right', async () => {
    expect(await failure(row(softsign()))).toBeUndefined();
    const half = { inputs: [{ shape: [2], dtype: 'f16', values: [-1.5, 0.25] } as const] };
    expect(await failure(row(softsign(), half))).toBeUndefined();
  });

  test('names an operation whose values are off, unless that is said', async () => {
    const f = softsign();
    expect(await failure(row(f, { gradient: false }), new Inexact({}))).toMatch(
      /^softsign: 4 of 4 values differ by more/,
    );
    expect(await failure(row(f, { gradient: false, tolerance: 1e-3 }), new Inexact({}))).toBeUndefined();
  });

  test('names one that is not what its case says is right, on the reference executor too', async () => {
    const f = softsign();
    const rule = (x: readonly number[]) => x.map((v) => v / (1 + Math.abs(v)));
    expect(await failure(row(f, { expected: rule }))).toBeUndefined();
    expect(await failure(row(f, { expected: [-0.6, 0.2, 2 / 3, 0.8] }))).toBeUndefined();
    expect(await failure(row(f, { expected: [-0.6, 0.2, 2 / 3, 0.9] }))).toMatch(
      /^softsign: not what is right: 1 of 4 values .* at \[1, 1\]/,
    );
  });

  test('names one whose gradient is wrong', async () => {
    const gradient: OpDefinition<null>['gradient'] = ({ inputs: [x], outputGradients: [g] }) => [
      g!.div(x!.abs().add(1)),
    ];
    const wrong = row(softsign({ gradient }));
    expect(await failure(wrong)).toMatch(/^softsign: gradCheck: the gradient with respect to argument 0: /);
    expect(await failure({ ...wrong, gradient: false })).toBeUndefined();
  });

  test('names one that depends on the device it is recorded on', async () => {
    const one = await openReference();
    const tested = createDevice(new ReferenceExecutor({}));
    const cases = [{ name: 'odd', create: (on: typeof one) => on.zeros(on === tested ? [2] : [3]) }];
    await expect(operationContract(cases, () => tested)[0]!.run()).rejects.toThrow(
      'odd: expected f32 [3], got f32 [2]',
    );
    await Promise.all([one.dispose(), tested.dispose()]);
  });
});
