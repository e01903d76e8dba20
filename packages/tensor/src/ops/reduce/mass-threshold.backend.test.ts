import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { massThresholdCases } from './mass-threshold.cases.ts';
import { massThreshold } from './mass-threshold.ts';

operations('massThreshold', massThresholdCases);

conformance('thresholds of mass', (device) => {
  test('end where a value is no number, and refuse what does not fit', async () => {
    const x = device().tensor([1, Number.NaN, 3, Number.NaN], { shape: [2, 2] });
    const ones = device().full([2, 2], 1);
    expect(await massThreshold(x, ones, device().full([2], 1)).data()).toHaveLength(2);
    expect(() => massThreshold(x, ones, device().full([3], 1))).toThrow(/got \[2, 2\], \[2, 2\] and \[3\]/);
    expect(() => massThreshold(x, ones.cast('i32'), device().full([2], 1))).toThrow(/takes f32, got f32, i32 and/);
    expect(() => massThreshold(device().full([2, 0], 1), device().full([2, 0], 1), device().full([2], 1))).toThrow(
      /at least one value/,
    );
  });
});
