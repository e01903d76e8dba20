import { describe, expect, test } from 'vitest';
import { rotaryFrequencies } from './rotary-frequencies.ts';
import type { RotaryScaling, RotarySpec } from './rotary-spec.ts';

const spec = (dim: number, scaling: RotaryScaling, theta = 10000): RotarySpec => ({ theta, dim, scaling });

function expectFrequencies(got: ReturnType<typeof rotaryFrequencies>, values: number[], attentionFactor = 1): void {
  expect(got.inverseFrequencies.length).toBe(values.length);
  got.inverseFrequencies.forEach((value, i) => {
    expect(Math.abs(value / values[i]! - 1), `component ${i}: ${value}, expected ${values[i]}`).toBeLessThan(1e-12);
  });
  expect(got.attentionFactor).toBeCloseTo(attentionFactor, 12);
}

test('default: powers of the base', () => {
  expectFrequencies(rotaryFrequencies(spec(8, { kind: 'default' })), [1, 0.1, 0.01, 0.001]);
});

test('linear: divided by the factor', () => {
  expectFrequencies(rotaryFrequencies(spec(8, { kind: 'linear', factor: 4 })), [0.25, 0.025, 0.0025, 0.00025]);
});

test('proportional: the first pairs as in the whole head, the others stand still', () => {
  const { inverseFrequencies } = rotaryFrequencies(spec(8, { kind: 'proportional', share: 0.5, factor: 2 }));
  expect([...inverseFrequencies].map((value) => Number(value.toFixed(12)))).toEqual([0.5, 0.05, 0, 0]);
});

test('dynamic: unchanged up to the maximum, then a larger base', () => {
  const scaled = spec(8, { kind: 'dynamic', factor: 4, maxPositions: 64 });
  for (const length of [undefined, 1, 64]) expectFrequencies(rotaryFrequencies(scaled, length), [1, 0.1, 0.01, 0.001]);
  // 4 * 200 / 64 - 3 = 9.5, and the base grows by 9.5^(8/6): the frequency of pair i falls by 9.5^(i/3).
  expectFrequencies(
    rotaryFrequencies(scaled, 200),
    [1, 0.1, 0.01, 0.001].map((frequency, i) => frequency / 9.5 ** (i / 3)),
  );
});

test('llama3: short waves kept, long ones divided, those between blended', () => {
  const llama3 = { kind: 'llama3', lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 64 } as const;
  const got = rotaryFrequencies(spec(16, { ...llama3, factor: 8 }, 500000));
  // Pair 1 turns 64 * 0.19391 / 2 pi = 1.97514 times: 0.32505 of it is kept, the rest divided by 8.
  expectFrequencies(
    got,
    [
      1, 0.0794030091792082, 0.004700753866357992, 0.0009115830921521386, 0.00017677669529663688, 3.428102195952591e-5,
      6.647869871181236e-6, 1.2891731721515574e-6,
    ],
  );
});

describe('yarn', () => {
  const yarn = { kind: 'yarn', betaFast: 32, betaSlow: 1, truncate: true } as const;

  test('a ramp between whole components, 0.1 ln(factor) + 1', () => {
    // By hand: 64 positions turn 32 times at component -0.99 and once at 2.02: the ramp runs from 0 to 3.
    const kept = [1, 2 / 3, 1 / 3, 0, 0, 0, 0, 0];
    const values = kept.map((share, i) => 10 ** (-i / 2) * (share + (1 - share) / 4));
    const got = rotaryFrequencies(spec(16, { ...yarn, factor: 4, originalMaxPositions: 64 }));
    expectFrequencies(got, values, 0.1 * Math.log(4) + 1);
    expect(got.inverseFrequencies[1]).toBeCloseTo(0.23717082451262847, 14);
  });

  test('an untruncated ramp with other betas, and both mscales', () => {
    const mscales = { betaFast: 16, betaSlow: 2, mscale: 1, mscaleAllDim: 0.5, truncate: false };
    const got = rotaryFrequencies(spec(16, { ...yarn, ...mscales, factor: 4, originalMaxPositions: 4096 }));
    const values = [
      1, 0.31622776601683794, 0.1, 0.03162277660168379, 0.00676161920188239, 0.0008251043594743217, 0.00025,
      7.905694150420948e-5,
    ];
    expectFrequencies(got, values, 1.0648216253695715);
  });

  test('one mscale alone changes nothing', () => {
    const base = { ...yarn, factor: 4, originalMaxPositions: 64 };
    for (const alone of [{ mscale: 0.7 }, { mscaleAllDim: 0.7 }, { mscale: 0, mscaleAllDim: 1 }]) {
      expect(rotaryFrequencies(spec(16, { ...base, ...alone })).attentionFactor).toBeCloseTo(0.1 * Math.log(4) + 1, 12);
    }
  });

  test('a stated attention factor, and a ramp that ends inside the head', () => {
    const got = rotaryFrequencies(spec(8, { ...yarn, factor: 40, originalMaxPositions: 4096, attentionFactor: 1.25 }));
    expectFrequencies(got, [1, 0.1, 0.005125, 2.5e-5], 1.25);
  });

  test('a ramp of no length is a step', () => {
    const same = { ...yarn, factor: 4, originalMaxPositions: 64, betaFast: 64, betaSlow: 32 };
    expectFrequencies(rotaryFrequencies(spec(4, same)), [1, 0.0025], 0.1 * Math.log(4) + 1);
  });

  test('a factor of one scales nothing', () => {
    expectFrequencies(rotaryFrequencies(spec(4, { ...yarn, factor: 1, originalMaxPositions: 64 })), [1, 0.01], 1);
  });
});

test('longrope: a divisor for each component, by the length', () => {
  const factors = { shortFactors: [1, 1.5, 2, 2.5], longFactors: [1, 3, 9, 27] };
  const scaled = { kind: 'longrope', ...factors, factor: 4, originalMaxPositions: 64 } as const;
  // sqrt(1 + ln 4 / ln 64) = sqrt(4 / 3)
  const grown = Math.sqrt(4 / 3);
  for (const length of [undefined, 64]) {
    expectFrequencies(rotaryFrequencies(spec(8, scaled), length), [1, 0.1 / 1.5, 0.005, 0.0004], grown);
  }
  expectFrequencies(rotaryFrequencies(spec(8, scaled), 65), [1, 0.1 / 3, 0.01 / 9, 0.001 / 27], grown);
  expectFrequencies(rotaryFrequencies(spec(8, { ...scaled, factor: 1 })), [1, 0.1 / 1.5, 0.005, 0.0004], 1);
  expect(rotaryFrequencies(spec(8, { ...scaled, attentionFactor: 1.5 })).attentionFactor).toBe(1.5);
});

test('refuses a spec out of range', () => {
  const llama3 = { kind: 'llama3', factor: 8, originalMaxPositions: 64 } as const;
  const longrope = {
    kind: 'longrope',
    factor: 4,
    originalMaxPositions: 64,
    shortFactors: [1],
    longFactors: [1],
  } as const;
  const cases: [RotarySpec, RegExp][] = [
    [spec(8, { kind: 'lin' } as never), /scaling.kind must be one of default, linear, .*, got lin/],
    [spec(8, { kind: 'default' }, 0), /theta must be a positive number, got 0/],
    [spec(7, { kind: 'default' }), /dim must be a positive even integer, got 7/],
    [spec(0, { kind: 'default' }), /dim/],
    [spec(8, { kind: 'proportional', share: 0, factor: 1 }), /share must be in \(0, 1\], got 0/],
    [spec(8, { kind: 'linear', factor: Number.NaN }), /linear\): factor must be a positive number, got NaN/],
    [spec(2, { kind: 'dynamic', factor: 2, maxPositions: 64 }), /dim must be at least 4, got 2/],
    [spec(8, { ...llama3, lowFrequencyFactor: 4, highFrequencyFactor: 4 }), /highFrequencyFactor must be greater/],
    [spec(8, longrope), /shortFactors must hold dim \/ 2 = 4 numbers, got 1/],
  ];
  for (const [bad, message] of cases) {
    expect(() => rotaryFrequencies(bad)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
    expect(() => rotaryFrequencies(bad)).toThrow(message);
  }
});
