import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import type { Tensor } from './tensor.ts';

conformance('lifetimes', (device) => {
  const live = async () => {
    await device().trim();
    return device().memory().live;
  };

  test('tidy frees what a function made and does not give', async () => {
    const before = await live();
    const made: Tensor[] = [];
    const kept = device().tidy(() => {
      made.push(device().tensor([1, 2]), device().tensor([3, 4]));
      return { second: made[1]! };
    });
    expect(await kept.second.toArray()).toEqual([3, 4]);
    await expect(made[0]!.data()).rejects.toThrow(/disposed of/);
    kept.second.dispose();
    expect(await live()).toBeLessThanOrEqual(before);
  });

  test('tidy keeps what its lazy result is to be computed from', async () => {
    const sum = device().tidy(() =>
      device()
        .tensor([1, 2])
        .add(device().tensor([10, 20])),
    );
    expect(await sum.toArray()).toEqual([11, 22]);
  });

  test('tidy follows an asynchronous function, realizes what it gives, and frees what it threw away', async () => {
    const before = await live();
    const [a, b] = await Promise.all(
      [1, 2].map((factor) =>
        device().tidy(async (own) => {
          const x = own(device().tensor([1, 2, 3]));
          const y = own(await x.mul(factor).realize());
          const inner = await device().tidy(async (ownToo) => ownToo(await y.add(1).realize()));
          own(inner);
          return [inner.mul(10)] as const;
        }),
      ),
    );
    expect(a![0].storage).toBeDefined();
    expect([await a![0].toArray(), await b![0].toArray()]).toEqual([
      [20, 30, 40],
      [30, 50, 70],
    ]);
    a![0].dispose();
    b![0].dispose();
    const fails = device().tidy(async (own) => {
      own(device().tensor([1]));
      throw new Error('meant');
    });
    await expect(fails).rejects.toThrow('meant');
    expect(await live()).toBeLessThanOrEqual(before);
  });

  test('tidy leaves variables and what was there before', async () => {
    const x = device().tensor([1]);
    const weight = device().tidy(() => {
      x.add(1);
      return { not: device().variable([2]) };
    });
    const other = device().tidy(() => [device().variable([3])])[0]!;
    expect([await x.item(), await weight.not.item(), await other.item()]).toEqual([1, 2, 3]);
    for (const handle of [x, weight.not, other]) handle.dispose();
  });

  test('a tensor goes to a device as one of its own', async () => {
    for (const [values, dtype] of [
      [[1.5, -2], 'f32'],
      [[1.5, -2], 'f16'],
      [[1, -2], 'i32'],
      [[0, 1], 'bool'],
    ] as const) {
      const x = device().tensor(values, { dtype });
      const moved = await x.reshape([1, 2]).reshape([2]).to(device());
      expect([moved.dtype, moved.shape, await moved.data()]).toEqual([dtype, [2], await x.data()]);
      x.dispose();
      moved.dispose();
    }
    await expect(
      device()
        .zeros([1])
        .to('gpu' as never),
    ).rejects.toThrow(/^to: takes a device, got the string gpu$/);
  });

  test('data is of the type that it is asked for', async () => {
    const half = device().tensor([1.5, -2], { dtype: 'f16' });
    const values: Float32Array = await half.data('f32');
    expect(values).toEqual(Float32Array.of(1.5, -2));
    const bits: Uint16Array = await half.data('f16');
    expect(bits).toEqual(Uint16Array.of(0x3e00, 0xc000));
    const whole: Int32Array = await device().arange(2).data('i32');
    expect(whole).toEqual(Int32Array.of(0, 1));
    await expect(device().arange(2).data('f32')).rejects.toThrow(
      /^data: the tensor is i32, got a request for f32; cast it$/,
    );
    await expect(half.data('float' as 'f32')).rejects.toThrow(/^data: dtypes are f32/);
    half.dispose();
  });

  test('realize gives the tensors that it was given', async () => {
    const x = device().ones([2]);
    const [same, sum] = await device().realize([x, x.add(1)]);
    expect(same).toBe(x);
    expect(await sum!.toArray()).toEqual([2, 2]);
    x.dispose();
    sum!.dispose();
  });
});
