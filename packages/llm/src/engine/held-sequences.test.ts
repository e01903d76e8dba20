import { expect, test } from 'vitest';
import { HeldSequences } from './held-sequences.ts';
import type { ScheduledGeneration } from './request.ts';

/** A request of two tokens of prompt and one generated, which has ended, and whose cache notes that it was given up. */
function ended(id: string, given: string[], name: string, change: Partial<ScheduledGeneration> = {}) {
  const kv = { dispose: () => given.push(name) };
  const whole = { id, kv, hold: true, stranded: false, stream: [1, 2, 3], promptTokens: 2, maxTokens: 1 };
  return { ...whole, ...change } as unknown as ScheduledGeneration;
}

test('a cache is kept for a request that wants it, and given up once', () => {
  const [held, given] = [new HeldSequences(), [] as string[]];
  held.want('a');
  expect(held.keep(ended('a', given, 'first'))).toBe(true);
  expect(held.get('a')).toMatchObject({ id: 'a', stream: [1, 2, 3] });
  held.drop('a');
  held.drop('a');
  expect([given, held.get('a'), held.clear()]).toEqual([['first'], undefined, false]);
});

test('what is kept under an id that is taken gives up what was there', () => {
  const [held, given] = [new HeldSequences(), [] as string[]];
  held.want('a');
  held.keep(ended('a', given, 'first'));
  held.want('a');
  held.keep(ended('a', given, 'second'));
  expect(given).toEqual(['first']);
  expect(held.clear()).toBe(true);
  expect(given).toEqual(['first', 'second']);
});

test('what was given up meanwhile, is not asked for, or did not come to its end is not kept', () => {
  const [held, given] = [new HeldSequences(), [] as string[]];
  held.want('a');
  held.drop('a');
  expect(held.keep(ended('a', given, 'dropped'))).toBe(false);
  for (const change of [{ hold: false }, { stranded: true }, { stream: [1, 2] }, { kv: undefined }]) {
    held.want('a');
    expect(held.keep(ended('a', given, 'other', change as Partial<ScheduledGeneration>)), JSON.stringify(change)).toBe(
      false,
    );
    // and it is not wanted any more
    expect(held.keep(ended('a', given, 'later'))).toBe(false);
  }
  expect(given).toEqual([]);
});
