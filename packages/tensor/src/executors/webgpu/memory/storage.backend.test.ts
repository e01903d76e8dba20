import { expect } from 'vitest';
import { onWebGpu } from '../../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../../test-support/suite.ts';
import type { DType, HostArray } from '../../../dtype.ts';
import { f16ToF32, f32ToF16 } from '../../../float16.ts';
import { where } from '../../../ops/elementwise/where.ts';

const halves = (...values: number[]) => f32ToF16(Float32Array.from(values));

onWebGpu('values in buffers', (device) => {
  const samples: readonly [DType, HostArray][] = [
    ['f32', Float32Array.of(1, -0, Infinity, -Infinity, 3e38)],
    ['i32', Int32Array.of(-2147483648, 2147483647, 0)],
    ['u32', Uint32Array.of(4294967295, 0, 7)],
    ['bool', Uint8Array.of(1, 0, 1, 1, 0)],
    ['f16', halves(1, -2, 65504, Infinity, 2 ** -24)],
    ['f16', halves(5)],
    ['f32', new Float32Array(0)],
    ['f16', new Uint16Array(0)],
  ];
  for (const [dtype, data] of samples)
    test(`come back as they went: ${data.length} of ${dtype}`, async () => {
      const x = device().tensor(data, { shape: [data.length], dtype });
      expect(await x.data()).toEqual(data);
      expect(await x.clone().data()).toEqual(data);
      x.dispose();
    });

  test('may be written from any place on, odd halves too', async () => {
    const { executor } = device();
    for (const [offset, values] of [
      [0, [9]],
      [1, [9]],
      [1, [8, 9]],
      [2, [7, 8, 9]],
      [3, [9, 8]],
      [4, [9]],
    ] as const) {
      const before = [1, 2, 3, 4, 5];
      const storage = executor.create({ shape: [5], dtype: 'f16' }, 'test', halves(...before));
      executor.write(storage, halves(...values), offset);
      before.splice(offset, values.length, ...values);
      expect([...f16ToF32((await executor.read(storage)) as Uint16Array)], `${values} at ${offset}`).toEqual(before);
      storage.dispose();
    }
    const storage = executor.create({ shape: [3], dtype: 'i32' }, 'test');
    executor.write(storage, Int32Array.of(7), 2);
    expect(await executor.read(storage)).toEqual(Int32Array.of(0, 0, 7));
    expect(() => executor.write(storage, Int32Array.of(1, 2), 2)).toThrow('outside of 3');
    storage.dispose();
  });

  test('are zeros where nothing is given, in buffers that were used before too', async () => {
    const { executor } = device();
    for (let i = 0; i < 3; i++) {
      const storage = executor.create({ shape: [100], dtype: 'f32' }, 'test');
      expect(await executor.read(storage)).toEqual(new Float32Array(100));
      executor.write(storage, new Float32Array(100).fill(3));
      storage.dispose();
    }
  });

  test('are read as they are at the time of the call, several at once', async () => {
    const { executor } = device();
    const storage = executor.create({ shape: [2], dtype: 'f32' }, 'test', Float32Array.of(1, 1));
    const reads: Promise<HostArray>[] = [];
    for (let i = 2; i < 6; i++) {
      reads.push(executor.read(storage));
      executor.write(storage, Float32Array.of(i, i));
    }
    expect((await Promise.all(reads)).map((data) => data[0])).toEqual([1, 2, 3, 4]);
    storage.dispose();
  });

  test('of half precision and odd length are computed with', async () => {
    const [a, b] = [halves(1, 2, 3, 4, 5, 6, 7, 8, 9), halves(10, 20, 30)];
    const x = device().tensor(a, { shape: [3, 3] });
    const y = device().tensor(b, { shape: [3] });
    const f32 = async (data: Promise<HostArray>) => [...f16ToF32((await data) as Uint16Array)];
    expect(await f32(x.add(y).data())).toEqual([11, 22, 33, 14, 25, 36, 17, 28, 39]);
    expect(await f32(x.transpose().data())).toEqual([1, 4, 7, 2, 5, 8, 3, 6, 9]);
    expect(await f32(x.sum(1).data())).toEqual([6, 15, 24]);
    expect(await f32(x.sum(0).data())).toEqual([12, 15, 18]);
    expect(await f32(x.sum().data())).toEqual([45]);
    expect(await f32(x.slice(0, 1, 2).mul(2).data())).toEqual([8, 10, 12]);
    expect(await f32(x.matmul(x).data())).toEqual([30, 36, 42, 66, 81, 96, 102, 126, 150]);
  });

  test('that are infinite or no numbers survive', async () => {
    const x = device().tensor(Float32Array.of(-Infinity, -Infinity, -Infinity, NaN), { shape: [4] });
    expect(await x.slice(0, 0, 3).max().data()).toEqual(Float32Array.of(-Infinity));
    expect(await x.add(1).data()).toEqual(Float32Array.of(-Infinity, -Infinity, -Infinity, NaN));
    const mask = device().tensor([true, false, true, false]);
    expect(await where(mask, x, -Infinity).data()).toEqual(new Float32Array(4).fill(-Infinity));
    expect(await x.slice(0, 0, 3).exp().data()).toEqual(new Float32Array(3));
  });
});
