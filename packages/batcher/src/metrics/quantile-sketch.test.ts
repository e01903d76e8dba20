import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { QuantileSketch } from './quantile-sketch.ts';

const exact = (sorted: readonly number[], q: number) =>
  sorted[Math.min(sorted.length - 1, Math.ceil(q * (sorted.length - 1)))]!;

describe('a quantile sketch', () => {
  it('is within its relative error of a value of that rank', () => {
    const values = fc.array(fc.double({ min: 1e-5, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 300 });
    fc.assert(
      fc.property(values, fc.double({ min: 0, max: 1, noNaN: true }), (list, q) => {
        const sketch = new QuantileSketch();
        for (const value of list) sketch.add(value);
        const sorted = [...list].sort((a, b) => a - b);
        const rank = q * (sorted.length - 1);
        const [low, high] = [sorted[Math.floor(rank + 1e-9)]!, sorted[Math.ceil(rank - 1e-9)]!];
        const got = sketch.quantile(q);
        expect(got).toBeGreaterThanOrEqual(low * 0.99 - 1e-12);
        expect(got).toBeLessThanOrEqual(high * 1.0101 + 1e-12);
      }),
      runs(300),
    );
  });

  it('summarises, exactly where it can', () => {
    const sketch = new QuantileSketch();
    const values = Array.from({ length: 1000 }, (_, i) => i + 1);
    for (const value of values) sketch.add(value);
    const summary = sketch.summary();
    expect(summary).toMatchObject({ count: 1000, mean: 500.5, min: 1, max: 1000 });
    for (const [q, name] of [
      [0.5, 'p50'],
      [0.9, 'p90'],
      [0.95, 'p95'],
      [0.99, 'p99'],
    ] as const) {
      expect(Math.abs(summary[name] / exact(values, q) - 1)).toBeLessThan(0.012);
    }
    expect(sketch.shareUpTo(250)).toBeCloseTo(0.25, 1);
  });

  it('knows nothing of an empty stream', () => {
    const sketch = new QuantileSketch();
    expect(sketch.quantile(0.5)).toBeNaN();
    expect(sketch.shareUpTo(1)).toBe(0);
    expect(sketch.summary()).toMatchObject({ count: 0, mean: Number.NaN, p99: Number.NaN });
  });

  it('takes zeros and the very large', () => {
    const sketch = new QuantileSketch();
    for (const value of [0, 0, 0, 1e15]) sketch.add(value);
    expect(sketch.quantile(0.5)).toBe(0);
    expect(sketch.summary().max).toBe(1e15);
  });

  it('weighs what has faded: count, sum, mean and shares', () => {
    const part = fc.record({
      values: fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: 1, maxLength: 20 }),
      factor: fc.constantFrom(0.25, 0.5, 1),
    });
    fc.assert(
      fc.property(fc.array(part, { minLength: 1, maxLength: 4 }), fc.integer({ min: 0, max: 1000 }), (parts, limit) => {
        const sketch = new QuantileSketch();
        let weighed: { value: number; weight: number }[] = [];
        for (const { values, factor } of parts) {
          for (const value of values) sketch.add(value);
          sketch.fade(factor);
          weighed = [...weighed, ...values.map((value) => ({ value, weight: 1 }))];
          for (const one of weighed) one.weight *= factor;
        }
        const count = weighed.reduce((all, { weight }) => all + weight, 0);
        const sum = weighed.reduce((all, { value, weight }) => all + value * weight, 0);
        expect(sketch.count).toBeCloseTo(count, 9);
        expect(sketch.sum).toBeCloseTo(sum, 6);
        expect(sketch.summary().mean).toBeCloseTo(sum / count, 6);
        const upTo = (most: number) =>
          weighed.filter(({ value }) => value <= most).reduce((all, { weight }) => all + weight, 0) / count;
        const share = sketch.shareUpTo(limit);
        expect(share).toBeGreaterThanOrEqual(upTo(limit) - 1e-9);
        expect(share).toBeLessThanOrEqual(upTo(limit * 1.0203) + 1e-9);
      }),
      runs(100),
    );
  });
});
