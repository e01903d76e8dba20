import { openReference } from '@heddle/tensor/reference';
import { expect } from 'vitest';
import { operations } from '../../../../../test-support/operations.ts';
import { conformance, test } from '../../../../../test-support/suite.ts';
import { randomCategoricalCases } from './random-categorical.cases.ts';
import { randomCategorical } from './random-categorical.ts';

operations('randomCategorical', randomCategoricalCases);

conformance('classes drawn by their logits', (device) => {
  test('have the probabilities of the softmax, and are those of the reference', async () => {
    const [draws, probabilities] = [20_000, [0.5, 0.25, 0.15, 0.0998, 0.0002]];
    const reference = await openReference();
    const draw = async (on: typeof reference) => {
      const logits = on.tensor(probabilities.map((p) => Math.log(p) + 3)).expand([draws, probabilities.length]);
      return [...(await randomCategorical(logits, 11).data())];
    };
    const [got, expected] = [await draw(device()), await draw(reference)];
    const counts = probabilities.map((_, k) => got.filter((drawn) => drawn === k).length);
    // chi squared with 4 degrees of freedom is above 18.5 once in a thousand keys
    const off = counts.reduce(
      (sum, count, k) => sum + (count - draws * probabilities[k]!) ** 2 / (draws * probabilities[k]!),
      0,
    );
    expect(off).toBeLessThan(18.5);
    expect(got.filter((drawn, i) => drawn !== expected[i]).length).toBeLessThan(4);
    await reference.dispose();
  });

  test('refuse what has none', () => {
    expect(() => randomCategorical(device().tensor([1, 2], { dtype: 'i32' }), 1)).toThrow(
      /must be f32 or f16, got i32/,
    );
    expect(() => randomCategorical(device().full([], 1), 1)).toThrow(/takes logits \[..., V\], got a scalar/);
  });
});
