import { describe, expect, test } from 'vitest';
import { isHeddleError, OutOfMemoryError } from '../checks/errors.ts';
import { compile } from '../compile/compile.ts';
import type { Tensor } from '../graph/tensor.ts';
import { openOnnx } from '../onnx.ts';
import { openReference } from '../reference.ts';
import { openWebGpu } from '../webgpu.ts';
import { MemoryAccount } from './memory.ts';

describe('an account', () => {
  test('knows what is live, the most that was, and by whom', () => {
    const account = new MemoryAccount();
    const giveBack = account.take(100, 'weights');
    const other = account.take(50, 'cache');
    account.take(20, 'weights');
    expect(account.report()).toMatchObject({
      live: 170,
      peak: 170,
      owners: [
        { owner: 'weights', bytes: 120 },
        { owner: 'cache', bytes: 50 },
      ],
    });
    giveBack();
    giveBack();
    other();
    expect(account.report()).toMatchObject({ live: 20, peak: 170, owners: [{ owner: 'weights', bytes: 20 }] });
  });

  test('refuses budgets that are none', () => {
    for (const budget of [-1, Number.NaN])
      expect(() => new MemoryAccount(budget)).toThrow(/memoryBudget must be a number of bytes from 0/);
  });

  test('refuses one byte too many before it takes any, and names the holders', () => {
    const account = new MemoryAccount(100);
    account.take(60, 'weights');
    account.take(30, 'cache');
    expect(account.fits(10)).toBe(true);
    const refusal = (() => {
      try {
        account.take(11, 'step');
      } catch (error) {
        return error as OutOfMemoryError;
      }
      throw new Error('not refused');
    })();
    expect(refusal).toBeInstanceOf(OutOfMemoryError);
    expect(refusal).toMatchObject({ code: 'ERR_OUT_OF_MEMORY', requested: 11, budget: 100 });
    expect(refusal.holders[0]).toEqual({ owner: 'weights', bytes: 60 });
    expect(refusal.message).toBe(
      'memory: step asked for 11 bytes; the budget is 100, of which 90 are held (weights: 60, cache: 30)',
    );
    expect(account.report().live).toBe(90);
    account.take(10, 'step');
  });
});

test.each([Number.NaN, -1, '1 GiB'])('a budget of %s is refused, for it would refuse nothing', async (budget) => {
  const memoryBudget = budget as number;
  const refusal = expect.objectContaining({
    code: 'ERR_ARGUMENT',
    message: expect.stringContaining(`: memoryBudget must be a number of bytes, got ${budget}`),
  });
  for (const open of [openReference, openOnnx, openWebGpu])
    await expect(open({ memoryBudget })).rejects.toThrow(refusal);
  expect(() => compile((x: Tensor) => x.neg(), { memoryBudget })).toThrow(refusal);
});

describe('leaks', () => {
  /** Named, so that it can be found in a report. */
  async function forgetful(x: Tensor): Promise<Tensor> {
    return await x.mul(2).realize();
  }

  test('are what nobody disposed of, with the calls that allocated it', async () => {
    const device = await openReference({ debug: true });
    const x = device.tensor([1, 2, 3]);
    const kept = await forgetful(x);
    const step = compile((a: Tensor) => a.add(1), { device, name: 'a step' });
    await step(x);
    const leaks = await device.leaks();
    expect(leaks.map(({ owner, bytes }) => `${owner} ${bytes}`)).toEqual(['tensors 24', 'tensors 24', 'a step 24']);
    expect(leaks[0]!.site).toContain('memory.test.ts');
    expect(leaks[0]!.site.split('\n')[0]).not.toContain('/memory.ts');
    expect(leaks[1]!.site).toContain('forgetful');
    for (const held of [x, kept, step]) held.dispose();
    expect(await device.leaks()).toEqual([]);
    expect(device.memory().live).toBe(0);
    await device.dispose();
  });

  test('are not noted unless asked for', async () => {
    const device = await openReference();
    expect(device.memory().allocations).toBeUndefined();
    const error = await device.leaks().catch((cause: unknown) => cause);
    expect(isHeddleError(error, 'ERR_ARGUMENT') && error.message).toMatch(/debug: true/);
    await device.dispose();
  });
});
