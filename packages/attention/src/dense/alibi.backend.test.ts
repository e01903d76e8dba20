import type { Device } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { alibiSlopes } from './alibi.ts';

conformance('slopes of ALiBi', (device: () => Device) => {
  for (const [heads, exponents] of [
    [1, [-8]],
    [4, [-2, -4, -6, -8]],
    [3, [-4, -8, -2]],
    [6, [-2, -4, -6, -8, -1, -3]],
  ] as const)
    test(`of ${heads} heads`, async () => {
      const slopes = Array.from(await alibiSlopes(device(), heads).data());
      for (const [i, exponent] of exponents.entries()) expect(slopes[i]! / 2 ** exponent).toBeCloseTo(1, 5);
      expect(slopes).toHaveLength(heads);
    });
});
