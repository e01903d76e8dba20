import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Device } from '../graph/device.ts';
import { stopGradient } from '../ops/movement/identity.ts';
import { openReference } from '../reference.ts';
import { grad } from './grad.ts';
import { gradients } from './gradients.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());
const list = async (tensor: { data(): Promise<ArrayLike<number>> }) => Array.from(await tensor.data());

test('a gradient through what was realized is refused, however far behind', async () => {
  const x = device.tensor([1, 2, 3]);
  const y = await x.mul(2).realize();
  const z = await y.exp().realize();
  expect(() => gradients(y.sum(), [x])).toThrow(/tensor 0 of \[3\] is behind one of \[3\] that was realized/);
  expect(() => gradients(z.mul(3).sum(), [y, x])).toThrow(/behind one of \[3\] that was realized/);
});

test('the realized tensor itself is a leaf like others', async () => {
  const x = device.tensor([1, 2, 3]);
  const y = await x.mul(2).realize();
  expect(await list(gradients(y.mul(y).sum(), [y])[0]!)).toEqual([4, 8, 12]);
});

test('stopGradient says that it is meant as a constant, before or after', async () => {
  const x = device.tensor([1, 2, 3]);
  const y = await x.mul(2).realize();
  expect(await list(gradients(x.mul(stopGradient(y)).sum(), [x])[0]!)).toEqual([2, 4, 6]);
  const fixed = await stopGradient(x.mul(2)).realize();
  expect(await list(gradients(x.mul(fixed).sum(), [x])[0]!)).toEqual([2, 4, 6]);
});

test('a function is differentiated by its argument alone, so realized constants outside are none of its business', async () => {
  const x = device.tensor([1, 2, 3]);
  const mask = await x.greater(1).cast('f32').realize();
  const [g] = grad((a: typeof x) => a.mul(mask).sum())(x);
  expect(await list(g!)).toEqual([0, 1, 1]);
  // one that was computed from other tensors too
  const [other] = gradients(x.mul(await device.tensor([5]).mul(2).realize()).sum(), [x]);
  expect(await list(other!)).toEqual([10, 10, 10]);
});

test('what was disposed of is forgotten: a loop of steps holds one', async () => {
  let weight = device.tensor([1]);
  for (let step = 0; step < 3; step++) {
    const [slope] = gradients(weight.mul(weight).sum(), [weight]);
    const next = await weight.sub(slope!.mul(0.25)).realize();
    weight.dispose();
    expect(weight.history).toBeUndefined();
    weight = next;
  }
  expect(await list(weight)).toEqual([0.125]);
});

test('integers have no gradients', () => {
  const i = device.tensor([1, 2], { dtype: 'i32' });
  const x = device.tensor([1, 2]);
  expect(() => gradients(x.mul(i).sum(), [i])).toThrow(/gradients: takes f32 and f16 tensors, got i32/);
  expect(() => gradients(i.sum(), [x])).toThrow(/got i32/);
  expect(() => grad((a: typeof i) => a.sum().cast('f32'))(i)).toThrow(/got i32/);
});
