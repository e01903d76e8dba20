import { expect, test } from 'vitest';
import { defineOp, type Op } from '../../graph/op.ts';
import { recordOne } from '../../graph/record.ts';
import { openReference } from '../../reference.ts';

test('an application that a lowering does not support is decomposed', async () => {
  const device = await openReference();
  const timesOp: Op<{ readonly by: number }> = defineOp({
    name: 'times',
    shape: ([x]) => [x!],
    decompose: ([x], { by }) => [x!.mul(by).add(100)],
    lower: {
      reference: {
        supports: ({ attributes }) => attributes.by < 3,
        run: ({ inputs, attributes }) => [inputs[0]!.data.map((x) => x * attributes.by)],
      },
    },
  });
  const x = device.tensor(Float32Array.of(1, 2));
  expect(Array.from(await recordOne(timesOp, [x], { by: 2 }).data())).toEqual([2, 4]);
  expect(Array.from(await recordOne(timesOp, [x], { by: 3 }).data())).toEqual([103, 106]);
  await device.dispose();
});
