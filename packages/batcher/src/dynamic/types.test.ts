import { describe, expectTypeOf, it } from 'vitest';
import { packed, padded } from './collate.ts';
import { dynamicBatcher } from './dynamic-batcher.ts';
import { failed } from './item-failure.ts';
import type { DynamicBatcher } from './options.ts';

const limits = { maxBatchSize: 2, maxWaitMs: 0 };

describe('the type of items and answers', () => {
  it('is the one that run gives its batch', () => {
    const lengths = dynamicBatcher({
      ...limits,
      run: async (texts: readonly string[]) => texts.map((text) => text.length),
    });
    expectTypeOf(lengths).toEqualTypeOf<DynamicBatcher<string, number>>();
    // @ts-expect-error a number is no text
    lengths(1).catch(() => {});
  });

  it('is the one that a function takes which stands elsewhere', () => {
    const embed = async (texts: readonly string[]): Promise<Float32Array[]> => texts.map(() => new Float32Array(4));
    expectTypeOf(dynamicBatcher({ ...limits, run: embed })).toEqualTypeOf<DynamicBatcher<string, Float32Array>>();
  });

  it('is the one that collate takes, where there is one', () => {
    const rows = dynamicBatcher({
      ...limits,
      collate: padded<readonly number[]>({ tokensOf: (tokens) => tokens }),
      run: async ({ rows, lengths }) => Array.from({ length: rows }, (_, i) => lengths[i]!),
    });
    expectTypeOf(rows).toEqualTypeOf<DynamicBatcher<readonly number[], number>>();
    const flat = dynamicBatcher({
      ...limits,
      collate: packed<{ ids: number[] }>({ tokensOf: (item) => item.ids }),
      keyOf: (item) => String(item.ids.length),
      run: async ({ rows }) => Array.from({ length: rows }, () => 'answer'),
    });
    expectTypeOf(flat).toEqualTypeOf<DynamicBatcher<{ ids: number[] }, string>>();
  });

  it('is named where nothing says it', () => {
    const named = dynamicBatcher<string, number>({ ...limits, run: async (texts) => texts.map((text) => text.length) });
    expectTypeOf(named).toEqualTypeOf<DynamicBatcher<string, number>>();
    const unnamed = dynamicBatcher({ ...limits, run: async (items) => items.map(() => 1) });
    // @ts-expect-error nothing says what its items are, so it takes none
    unnamed('a').catch(() => {});
  });

  it('leaves failures out of the answers', () => {
    const some = dynamicBatcher({
      ...limits,
      run: async (items: readonly number[]) =>
        items.map((item) => (item < 0 ? failed(new RangeError('negative')) : item)),
    });
    expectTypeOf(some).toEqualTypeOf<DynamicBatcher<number, number>>();
  });
});
