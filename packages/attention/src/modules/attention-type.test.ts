import { expect, test } from 'vitest';
import { type AttentionType, keyValueHeads } from './attention-type.ts';

test('key-value heads of the types', () => {
  const types = ['mha', 'mqa', 'gqa', 'gqa-2', 'gqa-8', 'gqa-1'] as const;
  expect(types.map((type) => keyValueHeads(type, 8))).toEqual([8, 1, 2, 2, 8, 1]);
});

test('anything else throws', () => {
  const cases: [string, number, RegExp][] = [
    ['mla', 8, /must be 'mha', 'mqa', 'gqa' or 'gqa-N', got 'mla'/],
    ['', 8, /got ''/],
    ['gqa-', 8, /got 'gqa-'/],
    ['gqa-0', 8, /got 'gqa-0'/],
    ['gqa-2.5', 8, /got 'gqa-2.5'/],
    ['MHA', 8, /got 'MHA'/],
    ['gqa-3', 8, /an N that divides the 8 heads, got 'gqa-3'/],
    ['gqa', 6, /'gqa' takes a multiple of 4 heads, got 6/],
    ['mha', 0, /heads must be a positive integer, got 0/],
  ];
  for (const [type, heads, message] of cases) {
    const call = () => keyValueHeads(type as AttentionType, heads);
    expect(call).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(call).toThrow(message);
  }
});
