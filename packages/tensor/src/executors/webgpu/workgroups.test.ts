import { expect, test } from 'vitest';
import { maxWorkgroupsPerDimension, spreadWorkgroups } from './workgroups.ts';

test('every workgroup has a place and no dimension is over the limit', () => {
  for (const count of [0, 1, 65_535, 65_536, 131_070, 131_071, 10_000_019, 65_535 ** 2, 65_535 ** 2 + 1]) {
    const [x, y, z] = spreadWorkgroups(count);
    expect(x * y * z, `${count}`).toBeGreaterThanOrEqual(count);
    expect(x * y * z, `${count}`).toBeLessThan(count + y * z + 1 + x * z);
    expect(Math.max(x, y, z), `${count}`).toBeLessThanOrEqual(maxWorkgroupsPerDimension);
  }
});
