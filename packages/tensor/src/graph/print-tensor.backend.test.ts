import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';

conformance('tensors as text and as nested arrays', (device) => {
  test('toArray gives nested numbers of every dtype, booleans of bool, a scalar as itself', async () => {
    const rows = [
      [1, -2.5],
      [0, 4],
    ];
    for (const dtype of ['f32', 'f16'] as const)
      expect(await device().tensor(rows, { dtype }).mul(2).toArray()).toEqual([
        [2, -5],
        [0, 8],
      ]);
    expect(await device().tensor(rows, { dtype: 'bf16' }).toArray()).toEqual(rows);
    expect(
      await device()
        .tensor([[true], [false]])
        .toArray(),
    ).toEqual([[true], [false]]);
    // one number among booleans makes numbers of them, wherever it stands
    for (const list of [[true, 2], [1, true], [true, false, 0.5]]) // biome-ignore format: a list
      expect(await device().tensor(list).toArray()).toEqual(list.map(Number));
    expect(await device().tensor(Int32Array.of(-1, 7)).toArray()).toEqual([-1, 7]);
    expect(await device().tensor(3).toArray()).toBe(3);
    expect(await device().zeros([2, 0]).toArray()).toEqual([[], []]);
    const blocks = device().tensor(new Uint8Array(34), { shape: [32], dtype: 'q8_0' });
    await expect(blocks.toArray()).rejects.toMatchObject({ code: 'ERR_DTYPE' });
  });

  test('a line says dtype, shape, device and state, and computes nothing', async () => {
    const { name } = device();
    const x = device().tensor([0.1, 2, 3]);
    const onHost = name !== 'webgpu';
    expect(String(x)).toBe(`Tensor f32 [3] on ${name}${onHost ? ': [0.1, 2, 3]' : ', computed'}`);
    expect(String(x.add(1))).toBe(`Tensor f32 [3] on ${name}, not computed yet`);
    expect(String(device().arange(5).reshape([5, 1]))).toBe(`Tensor i32 [5, 1] on ${name}, not computed yet`);
    const long = device().tensor(new Int32Array(20));
    if (onHost) expect(String(long)).toBe(`Tensor i32 [20] on ${name}: [${'0, '.repeat(8)}...]`);
    expect(String(device().variable([1, 2]))).toMatch(/^Variable f32 \[2\] on /);
    x.dispose();
    expect(String(x)).toBe(`Tensor f32 [3] on ${name}, disposed of`);
  });

  test('a device is a line too', async () => {
    const { name, description } = device();
    expect(String(device())).toBe(`Device ${name} (${description})`);
    expect(description).not.toBe('');
    const show = Reflect.get(device(), Symbol.for('nodejs.util.inspect.custom')) as () => string;
    expect(show.call(device())).toBe(String(device()));
  });
});
