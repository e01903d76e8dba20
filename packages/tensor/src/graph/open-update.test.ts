import { afterEach, expect, test, vi } from 'vitest';
import { compile } from '../compile/compile.ts';
import { openReference } from '../reference.ts';

afterEach(() => vi.restoreAllMocks());

test('an assignment that is never applied is said once', async () => {
  const warn = vi.spyOn(console, 'warn').mockImplementation(() => {});
  const device = await openReference();
  const w = device.variable([1], { name: 'w' });
  const update = w.assign(device.ones([1]));
  await device.realize([], [update]);
  const step = compile(() => ({ update: w.assign(w.add(1)) }), { device });
  await step();
  expect(await w.item()).toBe(2);
  expect(warn).not.toHaveBeenCalled();
  w.assign(w.add(5));
  expect(await w.item()).toBe(2);
  await w.data();
  w.assign(w.add(5));
  expect(warn.mock.calls).toEqual([
    [
      "heddle: variable 'w' has its old value: assign() only records; pass what it gives to device.realize([], [update]), or return it from a compiled function",
    ],
  ]);
  await device.dispose();
});
