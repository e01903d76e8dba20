import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { compile } from '../../compile/compile.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { comparisonCases } from './comparison.cases.ts';
import { not } from './comparison.ts';
import { where } from './where.ts';

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

conformance('a choice by order keeps NaN', (device) => {
  const values = Float32Array.of(Number.NaN, -1, 0, 7);
  /** Each is a minimum or maximum to a compiler that forgets NaN; and what it gives for the values. */
  const choices: Record<string, readonly [(x: Tensor, zero: Tensor) => Tensor, readonly number[]]> = {
    'x <= 0 ? 0 : x': [(x) => where(x.lessEqual(0), 0, x), [Number.NaN, 0, 0, 7]],
    'x < zero ? zero : x': [(x, zero) => where(x.less(zero), zero, x), [Number.NaN, 0, 0, 7]],
    'zero > x ? zero : x': [(x, zero) => where(zero.greater(x), zero, x), [Number.NaN, 0, 0, 7]],
    'x >= 6 ? 6 : x': [(x) => where(x.greaterEqual(6), 6, x), [Number.NaN, -1, 0, 6]],
    'zero < x ? zero : x': [(x, zero) => where(zero.less(x), zero, x), [Number.NaN, -1, 0, 0]],
    'not (x > 0) ? x : 0': [(x) => where(not(x.greater(0)), x, 0), [Number.NaN, -1, 0, 0]],
    '2x <= 0 ? 0 : 2x': [(x) => where(x.mul(2).lessEqual(0), 0, x.mul(2)), [Number.NaN, 0, 0, 14]],
    '0 where NaN is compared with itself': [(x) => where(x.lessEqual(x), x, 1), [1, -1, 0, 7]],
  };
  for (const dtype of ['f32', 'f16'] as const)
    for (const [name, [choose, expected]] of Object.entries(choices))
      test(`${name}, ${dtype}`, async () => {
        const x = device().tensor(values).cast(dtype);
        const chosen = choose(x, device().tensor(Float32Array.of(0)).cast(dtype)).cast('f32');
        expect([...(await chosen.data())].map((value) => value + 0)).toEqual(expected);
      });
});
