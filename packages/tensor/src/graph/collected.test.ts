import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { openReference } from '../reference.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test('values of handles that nobody can reach are freed when these are collected', async () => {
  const device = await openReference();
  const kept = device.tensor(new Float32Array(1000));
  await (async () => {
    for (let i = 0; i < 20; i++) await device.tensor(new Float32Array(1000)).add(i).realize();
  })();
  await device.trim();
  const held = device.memory().live;
  expect(held).toBe(41 * 8000);
  for (let i = 0; i < 20 && device.memory().live > 8000; i++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  // the last ones may still be on a stack
  expect(device.memory().live).toBeLessThanOrEqual(4 * 8000);
  expect((await kept.data()).length).toBe(1000);
  await device.dispose();
});
