import type { Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { adamw, train } from '../index.ts';

test('the data says what a batch is: model and loss may each read a part of it', async () => {
  const device = await openReference();
  const weight = device.variable([3, 4], { name: 'weight' });
  const model = { parameters: { weight }, forward: ({ x }: { readonly x: Tensor }) => ({ out: x.mul(weight) }) };
  const loss = ({ out }: { readonly out: Tensor }, { y }: { readonly y: Tensor }) => out.sub(y).sum();
  const batch = { x: Float32Array.of(1, 2), y: Float32Array.of(5, 1) };
  const [data, optimizer] = [[batch], adamw({ learningRate: 0.1 })];
  for await (const report of train({ model, loss, data, optimizer })) expect(report.loss).toBe(3 - 5 + 8 - 1);

  // only looked at by the type checker
  const refused = [
    // @ts-expect-error the batches have no such name
    () => train({ model, loss: ({ out }, { target }) => out.sub(target).sum(), data, optimizer }),
    // @ts-expect-error the model reads x
    () => train({ model, loss, data: [{ y: batch.y }], optimizer }),
  ];
  expect(refused).toHaveLength(2);
  weight.dispose();
  await device.dispose();
});
