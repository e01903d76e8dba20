import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { greedy, promptLookup } from '../index.ts';
import { NgramIndex } from './ngram-index.ts';
import { Pace } from './pace.ts';

/** The rule written out: the latest of the places behind the longest run, up to `longest`, that the tokens end in. */
function expected(tokens: readonly number[], size: number, longest: number, count: number): number[] {
  const end = tokens.length;
  for (let length = Math.min(longest, end - 1); length >= size; length--)
    for (let place = end - 1; place >= length; place--) {
      const same = Array.from({ length }, (_, i) => tokens[place - 1 - i] === tokens[end - 1 - i]).every(Boolean);
      if (!same) continue;
      const all = [...tokens];
      while (all.length < end + count) all.push(all[place + all.length - end]!);
      return all.slice(end);
    }
  return [];
}

test('a continuation is what stands behind the longest run that occurred before, as the tokens grow', () => {
  fc.assert(
    fc.property(
      fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1, maxLength: 14 }),
      fc.integer({ min: 1, max: 3 }),
      fc.integer({ min: 0, max: 4 }),
      (tokens, size, more) => {
        const index = new NgramIndex(size, size + more);
        for (let end = 1; end <= tokens.length; end++) {
          const known = tokens.slice(0, end);
          expect(index.continuation(known, 4)).toEqual(expected(known, size, size + more, 4));
        }
      },
    ),
    runs(300),
  );
});

test('prompt lookup guesses for each sequence by its own tokens, and forgets those that end', () => {
  const speculation = promptLookup({ maxDrafts: 3, minMatch: 2 });
  expect(speculation).toMatchObject({ name: 'prompt lookup', maxDrafts: 3, instant: true });
  const drafter = speculation.open({} as never);
  const wish = (id: string, tokens: readonly number[]) => ({
    ...{ id, tokens, promptTokens: 1, count: 3, sampler: greedy(), sequence: 0 },
  });
  expect(drafter.draft([wish('a', [1, 2, 3, 4, 1, 2]), wish('b', [5, 6, 7])])).toEqual([[3, 4, 1], []]);
  expect(drafter.draft([wish('b', [5, 6, 7, 5, 6])])).toEqual([[7, 5, 6]]);
  drafter.end('a');
  expect(drafter.draft([wish('a', [8, 9])])).toEqual([[]]);
  drafter[Symbol.dispose]();
  expect(() => promptLookup({ minMatch: 0 })).toThrow(/minMatch must be an integer from 1 to 64, got 0/);
  expect(() => promptLookup({ maxMatch: 2 })).toThrow(/maxMatch must be an integer from 3 to 1024, got 2/);
  expect(() => promptLookup({ drafts: 2 } as never)).toThrow(/promptLookup: has no option drafts/);
});

test('guesses become more while they are right, fewer when not, and rest longer each time where they do not pay', () => {
  const good = new Pace(8, { cost: () => 0.5, refill: 0, unknown: false });
  const lengths: number[] = [];
  for (let i = 0; i < 4; i++) {
    lengths.push(good.length);
    good.verified(good.length, good.length);
  }
  good.verified(8, 2);
  expect([...lengths, good.length]).toEqual([4, 8, 8, 8, 3]);
  const bad = new Pace(8, { cost: () => 0.5, refill: 0, unknown: false });
  const rests: number[] = [];
  for (let i = 0; i < 8; i++) {
    while (bad.length > 0) bad.verified(bad.length, 0);
    let rest = 0;
    for (; bad.length === 0; rest++) bad.passed(1);
    rests.push(rest);
  }
  expect(rests).toEqual([32, 64, 128, 256, 512, 1024, 1024, 1024]);
  // what pays again is no longer at rest
  for (let i = 0; i < 6; i++) bad.verified(bad.length, bad.length);
  expect(bad.length).toBe(8);
});
