import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { compile } from '../compile/compile.ts';
import type { Tensor } from './tensor.ts';

conformance('variables written from the host', (device) => {
  test('parts go one after the other, from the value that is named', async () => {
    for (const dtype of ['f32', 'i32', 'u32', 'f16', 'bool'] as const) {
      using variable = device().zeroVariable([2, 4], { dtype });
      const Kind = { f32: Float32Array, i32: Int32Array, u32: Uint32Array, f16: Uint16Array, bool: Uint8Array }[dtype];
      await variable.write([Kind.of(1, 0), Kind.of(1, 1)], 2);
      expect([...(await variable.data())]).toEqual([0, 0, 1, 0, 1, 1, 0, 0]);
      // where halves share a word with others
      await variable.write([Kind.of(1), Kind.of(0, 1)], 1);
      expect([...(await variable.data())]).toEqual([0, 1, 0, 1, 1, 1, 0, 0]);
      await variable.write([]);
      expect([...(await variable.data())]).toEqual([0, 1, 0, 1, 1, 1, 0, 0]);
    }
  });

  test('writes and runs keep the order of their calls', async () => {
    using variable = device().zeroVariable([4]);
    const step = compile((x: Tensor) => variable.add(x), { device: device(), inputs: [{ shape: [4] }] });
    const sums: Promise<unknown>[] = [];
    for (let i = 1; i <= 3; i++) {
      void variable.write([new Float32Array(4).fill(10 * i)]);
      sums.push(step(new Float32Array(4).fill(i)).then((sum) => sum.toArray()));
    }
    expect(await Promise.all(sums)).toEqual([11, 22, 33].map((value) => Array(4).fill(value)));
    step.dispose();
  });

  test('more than is staged at once arrives whole', async () => {
    const count = 1_100_000; // a piece has 2^20 words
    using variable = device().zeroVariable([count]);
    const parts = [700_000, 400_000].map((length, p) => Float32Array.from({ length }, (_, i) => p + (i % 1000)));
    const live = device().memory().live;
    await variable.write(parts);
    const held = (await variable.data()) as Float32Array;
    expect([held[0], held[699_999], held[700_000], held[1_048_577], held.at(-1)]).toEqual([
      0,
      999,
      1,
      1 + (348_577 % 1000),
      1000,
    ]);
    expect(device().memory().live).toBe(live);
  });

  test('what does not fit is refused, and changes nothing', async () => {
    const variable = device().variable([1, 2, 3, 4], { name: 'w' });
    using frozen = device().variable([1], { frozen: true });
    const two = new Float32Array(2);
    await expect(variable.write([two, two], 1)).rejects.toThrow('write: w [4] has 4 values, got 4 from 1 on');
    await expect(variable.write([two], -1)).rejects.toThrow(/got 2 from -1 on/);
    await expect(variable.write([two], 0.5)).rejects.toThrow(/got 2 from 0.5 on/);
    await expect(variable.write([new Int32Array(2) as never])).rejects.toThrow(
      'write: w is f32, got a part that is Int32Array',
    );
    await expect(variable.write([3] as never)).rejects.toThrow('write: w is f32, got a part that is the number 3');
    await expect(variable.write(two as never)).rejects.toThrow(/write: parts must be a list/);
    await expect(frozen.write([two])).rejects.toThrow(/is frozen/);
    expect(await variable.toArray()).toEqual([1, 2, 3, 4]);
    variable.dispose();
    await expect(variable.write([two])).rejects.toThrow(/disposed of/);
  });
});
