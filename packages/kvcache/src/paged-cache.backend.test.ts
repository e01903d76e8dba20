import { conformance, test } from '../../../test-support/suite.ts';
import { firstInFirstOut, pagedCache } from './index.ts';
import { kvCacheContract, type OpenKvCache } from './testing.ts';

const layouts: Record<string, OpenKvCache> = {
  'blocks of 4': (device, sizes) => pagedCache(device, { ...sizes, blockSize: 4, checkpointEvery: 8 }),
  'blocks of 3, first in, first out': (device, sizes) =>
    pagedCache(device, { ...sizes, blockSize: 3, share: firstInFirstOut() }),
};

conformance('paged cache', (device) => {
  for (const [layout, open] of Object.entries(layouts))
    for (const { name, run } of kvCacheContract(open, device)) test(`${layout}: ${name}`, run);
});
