import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { clipByGlobalNorm, clipByValue } from './clip.ts';
import type { GradientTransform } from './optimizer.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

async function clipped(transform: GradientTransform<readonly []>, ...lists: readonly (readonly number[])[]) {
  const gradients: Tensor[] = lists.map((list) => device.tensor([...list]));
  const { gradients: out } = transform.update(gradients, [], [], { scalars: [] });
  const result = await Promise.all(out.map(async (gradient) => [...(await gradient.data())]));
  for (const gradient of gradients) gradient.dispose();
  return result;
}

test.each([2, 0.5, 1e-3])('a global norm of %d is that of all values together afterwards', async (maxNorm) => {
  const [whole] = await clipped(clipByGlobalNorm(maxNorm), [3, 4]);
  expect(whole![0]).toBeCloseTo((3 * maxNorm) / (5 + 1e-6), 6);
  expect(whole![1]).toBeCloseTo((4 * maxNorm) / (5 + 1e-6), 6);
  const parts = await clipped(clipByGlobalNorm(maxNorm), [3], [4]);
  expect(parts.flat()).toEqual(whole);
});

test('gradients whose norm is below stay as they are, and a norm that is known is not looked for', async () => {
  expect(await clipped(clipByGlobalNorm(5.1), [3], [4])).toEqual([[3], [4]]);
  const gradients = [device.tensor([3, 4])];
  const value = device.full([], 50); // not theirs: to see that it is taken
  const { gradients: out } = clipByGlobalNorm(1).update(gradients, [], [], { scalars: [], norm: { gradients, value } });
  expect((await out[0]!.data())[0]).toBeCloseTo(3 / 50, 6);
  const others = clipByGlobalNorm(1).update([...gradients], [], [], { scalars: [], norm: { gradients, value } });
  expect((await others.gradients[0]!.data())[0]).toBeCloseTo(3 / 5, 6);
});

test('values are limited one by one', async () => {
  expect(await clipped(clipByValue(2), [3, -1, -7], [2])).toEqual([[2, -1, -2], [2]]);
  expect(() => clipByValue(-1)).toThrow(/the value must be positive, got -1/);
  expect(() => clipByValue(Number.NaN)).toThrow(/the value must be positive, got NaN/);
});
