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
});
