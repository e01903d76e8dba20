import { expect, test } from 'vitest';
import { BreakEven } from './break-even.ts';

test('loading pays while it is not known what it or computing takes', () => {
  const gate = new BreakEven();
  expect(gate.pays(1, 1e9)).toBe(true);
  gate.loaded(1000, 100);
  expect(gate.pays(1, 1e9)).toBe(true);
  gate.computed(100, 1);
  expect(gate.pays(1, 1e9)).toBe(false);
});

test('it pays where it takes at most 0.8 of the time of computing', () => {
  const gate = new BreakEven();
  gate.computed(10, 10); // a second each
  gate.loaded(1000, 1);
  // all of one size: as much a byte
  expect([gate.pays(5, 4000), gate.pays(5, 4001)]).toEqual([true, false]);
  expect([gate.pays(10, 8000), gate.pays(10, 8001)]).toEqual([true, false]);
});

test('loads of two sizes tell what each begins with, and what a byte takes', () => {
  const gate = new BreakEven();
  gate.computed(10, 10);
  gate.loaded(1000, 1);
  gate.loaded(3000, 2); // half a second, and another for each thousand
  expect([gate.pays(1, 599), gate.pays(1, 601)]).toEqual([true, false]);
  expect([gate.pays(10, 14_999), gate.pays(10, 15_001)]).toEqual([true, false]);
});

test('where larger loads take more than their share, and where they take less than smaller ones, a byte takes what it does on average', () => {
  for (const [few, many] of [
    [0.1, 1],
    [1, 0.1],
  ] as const) {
    const gate = new BreakEven();
    gate.computed(10, 10);
    gate.loaded(1000, few);
    gate.loaded(2000, many);
    // the older one counts 0.9
    const each = (0.9 * few + many) / (0.9 * 1000 + 2000);
    expect([gate.pays(1, 0.8 / each - 1), gate.pays(1, 0.8 / each + 1)]).toEqual([true, false]);
  }
});

test('computing is what it was of late: a tenth of the newest', () => {
  const gate = new BreakEven();
  gate.computed(10, 10);
  gate.computed(10, 20); // 1.1 seconds each
  gate.loaded(1000, 1);
  expect([gate.pays(10, 8799), gate.pays(10, 8801)]).toEqual([true, false]);
});

test('what does not pay is tried every 32nd time', () => {
  const gate = new BreakEven();
  gate.computed(10, 1);
  gate.loaded(1000, 100);
  const tried = Array.from({ length: 96 }, () => gate.pays(1, 1000));
  expect(tried.flatMap((is, i) => (is ? [i + 1] : []))).toEqual([32, 64, 96]);
});
