import { conformance, test } from '../../../test-support/suite.ts';
import { contiguousCache } from './index.ts';
import { kvCacheContract } from './testing.ts';

conformance('contiguous cache', (device) => {
  for (const { name, run } of kvCacheContract(contiguousCache, device)) test(name, run);
});
