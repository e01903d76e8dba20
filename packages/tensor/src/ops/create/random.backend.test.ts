import { openReference } from '@heddle/tensor/reference';
import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { f16ToF32 } from '../../float16.ts';
import { threefry2x32 } from '../../random/random-bits.ts';
import { randomCases } from './random.cases.ts';
import { randomBits, randomNormal, randomUniform } from './random.ts';

operations('random', randomCases);

const draws = 50_000;

conformance('random numbers of a device', (device) => {
  test('bits are the words of threefry on the host', async () => {
    const bits = await randomBits(device(), [100], 2 ** 33 + 17).data();
    expect([...bits]).toEqual(Array.from({ length: 100 }, (_, i) => threefry2x32(17, 2, i, 0)[0]));
  });

  test('uniform values equal the reference to the last bit and are even', async () => {
    const reference = await openReference();
    const got = await randomUniform(device(), [draws], 3).data();
    expect(got).toEqual(await randomUniform(reference, [draws], 3).data());
    const bins = new Array<number>(16).fill(0);
    for (const value of got) bins[Math.floor(value * 16)]!++;
    // chi squared with 15 degrees of freedom is above 37.7 once in a thousand keys
    const expected = draws / 16;
    expect(bins.reduce((sum, count) => sum + (count - expected) ** 2 / expected, 0)).toBeLessThan(37.7);
    await reference.dispose();
  });

  test('normal values agree with the reference within 1e-6 and have the moments of the distribution', async () => {
    const reference = await openReference();
    const got = (await randomNormal(device(), [draws], 4).data()) as Float32Array;
    const expected = await randomNormal(reference, [draws], 4).data();
    const off = got.reduce((most, value, i) => {
      const difference = Math.abs(value - expected[i]!) / Math.max(1, Math.abs(expected[i]!));
      return Math.max(most, difference);
    }, 0);
    expect(off).toBeLessThan(1e-6);
    const moment = (power: number) => got.reduce((sum, value) => sum + value ** power, 0) / draws;
    expect(Math.abs(moment(1))).toBeLessThan(4 / Math.sqrt(draws));
    expect(Math.abs(moment(2) - 1)).toBeLessThan(4 * Math.sqrt(2 / draws));
    expect(Math.abs(moment(4) - 3)).toBeLessThan(4 * Math.sqrt(96 / draws));
    await reference.dispose();
  });

  test('uniform values never reach the upper limit, and never leave the range', async () => {
    const ranges = [
      { low: 0, high: 1 },
      { low: -3e38, high: 3e38 },
      { low: 1, high: 1 + 2 ** -22 },
      { low: 0.1, high: 0.10001 },
      { low: -1, high: 0 },
      { low: 0.1, high: 0.2 },
    ];
    for (const dtype of ['f32', 'f16'] as const)
      for (const { low, high } of dtype === 'f32' ? ranges : [ranges[0]!, ranges[4]!, ranges[5]!]) {
        const drawn = randomUniform(device(), [20_000], 5, { low, high, dtype });
        const data = await drawn.data();
        const values = dtype === 'f16' ? f16ToF32(data as Uint16Array) : data;
        let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
        for (const value of values) [least, most] = [Math.min(least, value), Math.max(most, value)];
        expect(least, `${dtype} from ${low}`).toBeGreaterThanOrEqual(low);
        expect(most, `${dtype} below ${high}`).toBeLessThan(high);
        expect(most - least).toBeGreaterThan((high - low) * 0.4);
      }
  });

  test('other keys give other numbers', async () => {
    const [a, b] = [await randomBits(device(), [64], 1).data(), await randomBits(device(), [64], 2).data()];
    expect([...a].filter((word, i) => word === b[i])).toEqual([]);
  });
});
