import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { compile } from '../../compile/compile.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { comparisonCases } from './comparison.cases.ts';
import { not } from './comparison.ts';

operations('comparison', comparisonCases);

conformance('bytes of bool', (device) => {
  test('are true where they are not 0, however they come', async () => {
    const bytes = Uint8Array.of(0, 1, 2, 255);
    expect(await device().tensor(bytes).data()).toEqual(Uint8Array.of(0, 1, 1, 1));
    const step = compile((x: Tensor) => not(x), { device: device(), inputs: [{ shape: [4], dtype: 'bool' }] });
    expect(await (await step(bytes)).data()).toEqual(Uint8Array.of(1, 0, 0, 0));
    step.dispose();
  });
});
