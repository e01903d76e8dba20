import { expect, test } from 'vitest';
import { BreakEven, StepTimes } from './break-even.ts';

test('what takes longer than computing is refused, but for one try in 32', () => {
  const gate = new BreakEven();
  expect(gate.pays(100, 1e6)).toBe(true); // nothing was measured
  gate.computed(100, 0.003); // 30 us a token
  for (const bytes of [1e6, 2e6, 4e6]) gate.loaded(bytes, 0.001 + bytes / 1e9);
  expect(gate.seconds(3e6)).toBeCloseTo(0.004);
  expect(gate.pays(200, 3e6)).toBe(true); // 4 ms for 6
  expect(gate.pays(150, 3e6)).toBe(false); // for 4.5: not worth while
  expect(gate.pays(200, 3e6, 0.002)).toBe(false); // with what comes behind it
  const tries = Array.from({ length: 64 }, () => gate.pays(100, 3e6));
  expect(tries.filter((yes) => yes)).toHaveLength(2);
});

test('what has become slow is refused after a few measurements, and taken again when it is quick', () => {
  const gate = new BreakEven();
  gate.computed(1000, 0.03);
  gate.loaded(1e6, 0.001);
  expect(gate.pays(1000, 1e6)).toBe(true);
  for (let i = 0; i < 8; i++) gate.loaded(1e6, 0.1);
  expect(gate.pays(1000, 1e6)).toBe(false);
  for (let i = 0; i < 30; i++) gate.loaded(1e6, 0.001);
  expect(gate.pays(1000, 1e6)).toBe(true);
});

test('steps in flight are counted from the end of the one before, each once', () => {
  const times = new StepTimes();
  const [first, second] = [
    { rows: 64, since: 0 },
    { rows: 64, since: 1 },
  ];
  expect(times.ended(first, 10)).toBeCloseTo(0.01);
  expect(times.ended(first, 11)).toBeUndefined();
  expect(times.ended(second, 20)).toBeCloseTo(0.01); // waited for the first until 10
  expect(times.ended({ rows: 64, since: 50 }, 58)).toBeCloseTo(0.008);
});
