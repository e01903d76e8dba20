import { expect, test } from 'vitest';
import { openReference } from '../../reference.ts';

test('what is larger than the machine gives is an error of memory that names operation and shape, and counts nothing', async () => {
  await using device = await openReference();
  const huge = { code: 'ERR_OUT_OF_MEMORY', requested: 8e18 };
  await expect(device.zeros([1e9, 1e9]).data()).rejects.toMatchObject({
    ...huge,
    message: expect.stringMatching(/^full: \[1000000000, 1000000000\] takes 8000000000000000000 bytes/),
  });
  await expect(
    device
      .ones([1, 2 ** 20])
      .add(device.ones([2 ** 20, 1]).expand([2 ** 20, 2 ** 20, 2 ** 20]))
      .data(),
  ).rejects.toMatchObject({
    code: 'ERR_OUT_OF_MEMORY',
    message: expect.stringMatching(/^(full|add|expand): /),
  });
  await expect(device.arange(1e12).data()).rejects.toMatchObject({ code: 'ERR_OUT_OF_MEMORY' });
  expect(() => device.zeroVariable([1e9, 1e9])).toThrow(expect.objectContaining(huge));
  expect(device.memory().live).toBe(0);
  expect(await device.arange(3).toArray()).toEqual([0, 1, 2]);
});
