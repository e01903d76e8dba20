import { compile, type Device, type Tensor } from '@heddle/tensor';
import { gradCheck } from '@heddle/tensor/testing';
import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { normal, normalTensor, relativeError } from '../testing/numbers.ts';
import { type RecurrentCase, recurrentCase, recurrentExpected } from '../testing/recurrent-case.ts';
import { gatedDeltaRule, packedGatedDeltaRule } from './gated-delta-rule.ts';
import { mamba2Scan, packedMamba2Scan } from './mamba2-scan.ts';
import { chunkedRecurrence } from './recurrence/chunks.ts';
import { packedRecurrence } from './recurrence/packed.ts';
import { unitLowerInverse } from './recurrence/unit-lower-inverse.ts';

const values = async (x: Tensor) => Array.from(await x.cast('f32').data());
const sizes = { K: 2, H: 4, Dk: 6, Dv: 5 };
const rules = ['delta', 'additive'] as const;
const onSoftwareGpu = backendName.startsWith('webgpu');

conformance('linear recurrences', (device: () => Device) => {
  const floats = (data: readonly number[], shape: readonly number[]) =>
    device().tensor(Float32Array.from(data), { shape });
  const ints = (...data: number[]) => device().tensor(Int32Array.from(data));
  const tensors = ({ sizes: { K, H, Dk, Dv }, ...x }: RecurrentCase, ...lead: number[]) => ({
    q: floats(x.q, [...lead, K, Dk]),
    k: floats(x.k, [...lead, K, Dk]),
    v: floats(x.v, [...lead, H, Dv]),
    logDecay: floats(x.logDecay, [...lead, H]),
    beta: floats(x.beta, [...lead, H]),
  });

  test('chunks give what rows give one by one, for both rules, from a state', async (context) => {
    leaveToNode(context);
    // a software GPU compiles the kernels of a chunk for seconds
    const length = onSoftwareGpu ? 21 : 37;
    for (const rule of onSoftwareGpu ? rules.slice(0, 1) : rules) {
      const cases = [recurrentCase(1, length, sizes), recurrentCase(9, length, sizes)];
      const states = cases.map((_, b) => normal(20 + b, 4 * 6 * 5));
      const expected = cases.map((x, b) => recurrentExpected(x, rule, states[b]!));
      const joined = (name: 'q' | 'k' | 'v' | 'logDecay' | 'beta') => cases.flatMap((x) => x[name]);
      const all = {
        sizes,
        q: joined('q'),
        k: joined('k'),
        v: joined('v'),
        logDecay: joined('logDecay'),
        beta: joined('beta'),
      };
      const { logDecay, ...inputs } = tensors(all, 2, length);
      const state = floats(states.flat(), [2, 4, 6, 5]);
      const { out, state: last } = chunkedRecurrence({ ...inputs, decay: logDecay, state }, rule, sizes, 16);
      expect(
        relativeError(
          await values(out),
          expected.flatMap((x) => x.out),
        ),
      ).toBeLessThan(1e-5);
      expect(
        relativeError(
          await values(last),
          expected.flatMap((x) => x.states.at(-1)!),
        ),
      ).toBeLessThan(1e-5);
      if (rule === 'additive' || onSoftwareGpu) continue;
      const whole = gatedDeltaRule(inputs.q, inputs.k, inputs.v, { logDecay, beta: inputs.beta, state, scale: 1 });
      expect(
        relativeError(
          await values(whole.out),
          expected.flatMap((x) => x.out),
        ),
      ).toBeLessThan(1e-5);
    }
  });

  test('the inverse of a chunk holds where all keys are the same', async () => {
    const size = 64;
    const x = Array.from({ length: size * size }, (_, at) => (at % size < Math.floor(at / size) ? 1 : 0));
    const inverse = await values(unitLowerInverse(floats(x, [1, size, size])));
    const expected = inverse.map((_, at) =>
      at % size === Math.floor(at / size) ? 1 : at % size === Math.floor(at / size) - 1 ? -1 : 0,
    );
    expect(relativeError(inverse, expected)).toBeLessThan(1e-6);
  });

  test('gradients of the delta rule and the scan are those of differences', async (context) => {
    if (onSoftwareGpu) context.skip('its kernels are those of simpler operations, which compile for a minute here');
    const small = { K: 1, H: 2, Dk: 3, Dv: 2 };
    const { q, k, v, logDecay, beta } = tensors(recurrentCase(3, 2 * 3, small), 2, 3);
    const state = normalTensor(device(), 8, [2, 2, 3, 2]);
    await gradCheck(
      (a, b, c, d, e, f) => {
        const result = gatedDeltaRule(a!, b!, c!, { logDecay: d!, beta: e!, state: f, normalize: true, chunk: 2 });
        return result.out.add(result.state.sum());
      },
      [q, k, v, logDecay, beta, state],
    );
    await gradCheck(
      (x, dt, a, b, c, d) => mamba2Scan(x!, { dt: dt!.exp(), a: a!, b: b!, c: c!, d, chunk: 2 }).out,
      [v, logDecay, floats([-0.5, -1], [2]), k, q, floats([0.3, -2], [2])],
    );
  });

  test('packed rows go on from states, keep those that are asked for, and see nothing of other sequences', async () => {
    const layout = [-1, 0, 0, 0, 1, 1, 2, -1, 2, -1];
    const slots = 5;
    const odd = [Number.NaN, Infinity, -Infinity];
    for (const rule of rules) {
      const mine = recurrentCase(30, 5, sizes); // three rows of sequence 0, two of sequence 2
      const { K, H, Dk, Dv } = sizes;
      let next = 0;
      const place = layout.map((b) => (b === 0 || b === 2 ? next++ : -1));
      const spread = (x: number[], width: number) =>
        place.flatMap((at) =>
          at < 0 ? Array.from({ length: width }, (_, i) => odd[i % 3]!) : x.slice(at * width, (at + 1) * width),
        );
      const rows: RecurrentCase = {
        sizes,
        ...{ q: spread(mine.q, K * Dk), k: spread(mine.k, K * Dk), v: spread(mine.v, H * Dv) },
        ...{ logDecay: spread(mine.logDecay, H), beta: spread(mine.beta, H) },
      };
      const stored = normal(40, H * Dk * Dv);
      const pool = Array.from({ length: slots }, (_, s) =>
        s === 3 ? stored : stored.map((_, i) => odd[i % 3]!),
      ).flat();
      const { q, k, v, logDecay, beta } = tensors(rows, layout.length);
      const states = {
        pool: floats(pool, [slots, H, Dk, Dv]),
        from: ints(3, 0, -1),
        // the same row twice, out of order, and one of no sequence
        at: ints(8, 3, 2, 7, 3),
      };
      const segments = ints(...layout);
      const result =
        rule === 'delta'
          ? packedGatedDeltaRule(q, k, v, { logDecay, beta, segments, states, scale: 1 })
          : packedMamba2Scan(v, { dt: logDecay.neg(), a: device().full([H], 1), b: k, c: q, segments, states });
      // the scan's own factors: exp(dt a) with a = 1 and dt = -logDecay, and dt times x
      const shown =
        rule === 'delta'
          ? mine
          : {
              ...mine,
              logDecay: mine.logDecay.map((x) => -x),
              v: mine.v.map((x, i) => x * -mine.logDecay[Math.floor(i / Dv)]!),
            };
      const part = (from: number, to: number): RecurrentCase => ({
        sizes,
        ...{ q: shown.q.slice(from * K * Dk, to * K * Dk), k: shown.k.slice(from * K * Dk, to * K * Dk) },
        ...{ v: shown.v.slice(from * H * Dv, to * H * Dv), beta: shown.beta.slice(from * H, to * H) },
        logDecay: shown.logDecay.slice(from * H, to * H),
      });
      const [first, second] = [recurrentExpected(part(0, 3), rule, stored), recurrentExpected(part(3, 5), rule)];
      const out = await values(result.out);
      const row = (t: number) => out.slice(t * H * Dv, (t + 1) * H * Dv);
      expect(relativeError([...row(1), ...row(2), ...row(3)], first.out)).toBeLessThan(1e-5);
      expect(relativeError([...row(6), ...row(8)], second.out)).toBeLessThan(1e-5);
      expect([...row(0), ...row(7), ...row(9)].every((x) => x === 0)).toBe(true);
      const saved = await values(result.states!);
      const state = (w: number) => saved.slice(w * H * Dk * Dv, (w + 1) * H * Dk * Dv);
      expect(relativeError(state(0), second.states[1]!)).toBeLessThan(1e-5);
      expect(relativeError(state(1), first.states[2]!)).toBeLessThan(1e-5);
      expect(relativeError(state(2), first.states[1]!)).toBeLessThan(1e-5);
      expect(state(3).every((x) => x === 0)).toBe(true);
      expect(state(4)).toEqual(state(1));
    }
  });

  test('a packed recurrence in tensor operations has gradients', async (context) => {
    if (backendName !== 'reference')
      context.skip('every executor has a packed recurrence of its own: its gradient is simpler operations');
    const small = { K: 1, H: 2, Dk: 3, Dv: 2 };
    const { q, k, v, logDecay, beta } = tensors(recurrentCase(5, 4, small), 4);
    const pool = normalTensor(device(), 6, [2, 2, 3, 2]);
    await gradCheck(
      (a, b, c, d, e, f) => {
        const i32 = (...data: number[]) => a!.device.tensor(Int32Array.from(data));
        const states = { pool: f!, from: i32(-1, 1), at: i32(1, 3) };
        const result = packedGatedDeltaRule(a!, b!, c!, { logDecay: d!, beta: e!, segments: i32(0, 0, -1, 1), states });
        return result.out.add(result.states!.sum());
      },
      [q, k, v, logDecay, beta, pool],
    );
  });

  test('one plan takes any number of rows, sequences and states; f16 states are read', async () => {
    const { K, H, Dk, Dv } = { K: 1, H: 2, Dk: 40, Dv: 33 };
    const plan = compile(
      ({ q, k, v, logDecay, beta, segments, pool, from, at }: Record<string, Tensor>) =>
        packedGatedDeltaRule(q!, k!, v!, {
          ...{ logDecay: logDecay!, beta: beta!, segments: segments!, scale: 1 },
          states: { pool: pool!, from: from!, at: at! },
        }) as { out: Tensor; states: Tensor },
      {
        device: device(),
        inputs: [
          {
            q: { shape: ['T', K, Dk] },
            k: { shape: ['T', K, Dk] },
            v: { shape: ['T', H, Dv] },
            logDecay: { shape: ['T', H] },
            beta: { shape: ['T', H] },
            segments: { shape: ['T'], dtype: 'i32' },
            pool: { shape: [3, H, Dk, Dv], dtype: 'f16' },
            from: { shape: ['B'], dtype: 'i32' },
            at: { shape: ['W'], dtype: 'i32' },
          },
        ],
        symbols: { T: 16, B: 4, W: 4 },
      },
    );
    const pool = normalTensor(device(), 50, [3, H, Dk, Dv]).cast('f16');
    await pool.realize();
    const stored = await values(pool);
    for (const [rows, from, at] of [
      [5, [2], [4, 1]],
      [1, [-1], []],
    ] as const) {
      const x = recurrentCase(60 + rows, rows, { K, H, Dk, Dv });
      const { q, k, v, logDecay, beta } = tensors(x, rows);
      const result = await plan({
        ...{ q, k, v, logDecay, beta, segments: ints(...Array.from({ length: rows }, () => 0)) },
        ...{ pool, from: ints(...from), at: ints(...at) },
      });
      const slot = from[0] * H * Dk * Dv;
      const expected = recurrentExpected(x, 'delta', slot < 0 ? undefined : stored.slice(slot, slot + H * Dk * Dv));
      expect(relativeError(await values(result.out), expected.out)).toBeLessThan(1e-5);
      const states = at.flatMap((row) => expected.states[row]!);
      expect(relativeError(await values(result.states), states)).toBeLessThan(1e-5);
    }
    plan.dispose();
    pool.dispose();
  });

  test('sequences of many rows, with rows of nobody between them, are what their rows give one by one', async () => {
    const many = { K: 1, H: 2, Dk: 40, Dv: 33 };
    const { K, H, Dk, Dv } = many;
    const lengths = [123, 10];
    const cases = lengths.map((length, b) => recurrentCase(80 + b, length, many));
    const own: readonly number[][] = [[], []];
    const layout = Array.from({ length: 140 }, (_, t) => (t % 20 === 3 ? -1 : 0)).map((b, t) =>
      b < 0 || t < 130 ? b : 1,
    );
    for (const [t, b] of layout.entries()) if (b >= 0) own[b]!.push(t);
    expect(own.map(({ length }) => length)).toEqual(lengths);
    const spread = (name: 'q' | 'k' | 'v' | 'logDecay' | 'beta', width: number) =>
      layout.flatMap((b, t) => {
        const at = b < 0 ? -1 : own[b]!.indexOf(t);
        return Array.from({ length: width }, (_, i) => (at < 0 ? Number.NaN : cases[b]![name][at * width + i]!));
      });
    const stored = normal(90, H * Dk * Dv);
    const q = floats(spread('q', K * Dk), [140, K, Dk]);
    const k = floats(spread('k', K * Dk), [140, K, Dk]);
    const v = floats(spread('v', H * Dv), [140, H, Dv]);
    const decay = floats(spread('logDecay', H), [140, H]);
    const beta = floats(spread('beta', H), [140, H]);
    const pool = floats([...stored, ...stored.map(() => Number.NaN)], [2, H, Dk, Dv]);
    const ends = [own[0]![30]!, own[0]!.at(-1)!, own[1]!.at(-1)!];
    for (const rule of onSoftwareGpu ? rules.slice(0, 1) : rules) {
      const states = { pool, from: ints(0, -1), at: ints(...ends) };
      const given = { q, k, v, decay, ...(rule === 'delta' && { beta }), segments: ints(...layout), ...states };
      const result = packedRecurrence(given, { rule, chunk: 64 });
      const expected = cases.map((x, b) => recurrentExpected(x, rule, b === 0 ? stored : undefined));
      const out = await values(result.out);
      for (const [b, rows] of own.entries())
        expect(
          relativeError(
            rows.flatMap((t) => out.slice(t * H * Dv, (t + 1) * H * Dv)),
            expected[b]!.out,
          ),
        ).toBeLessThan(1e-5);
      const saved = [expected[0]!.states[30]!, expected[0]!.states.at(-1)!, expected[1]!.states.at(-1)!].flat();
      expect(relativeError(await values(result.states!), saved)).toBeLessThan(1e-5);
    }
  });

  test('sequences of a length that is known in a run are packed', async () => {
    const x = recurrentCase(70, 6, sizes);
    const { K, H, Dk, Dv } = sizes;
    const shapes = { q: [K, Dk], k: [K, Dk], v: [H, Dv], logDecay: [H], beta: [H] };
    const inputs = Object.fromEntries(
      Object.entries(shapes).map(([name, shape]) => [name, { shape: [2, 'L', ...shape] }]),
    );
    const plan = compile(
      ({ q, k, v, logDecay, beta }: Record<string, Tensor>) =>
        gatedDeltaRule(q!, k!, v!, { logDecay: logDecay!, beta: beta!, scale: 1 }),
      { device: device(), inputs: [inputs], symbols: { L: 8 } },
    );
    const { out, state } = await plan(tensors(x, 2, 3));
    const halves = [0, 1].map((b) => {
      const half = (data: number[]) => data.slice((b * data.length) / 2, ((b + 1) * data.length) / 2);
      const { q, k, v, logDecay, beta } = x;
      return recurrentExpected(
        { sizes, q: half(q), k: half(k), v: half(v), logDecay: half(logDecay), beta: half(beta) },
        'delta',
      );
    });
    expect(
      relativeError(
        await values(out),
        halves.flatMap((half) => half.out),
      ),
    ).toBeLessThan(1e-5);
    expect(
      relativeError(
        await values(state),
        halves.flatMap((half) => half.states[2]!),
      ),
    ).toBeLessThan(1e-5);
    plan.dispose();
  });

  test('refuses what does not fit', () => {
    const { q, k, v, logDecay, beta } = tensors(recurrentCase(1, 3, sizes), 1, 3);
    const gates = { logDecay, beta };
    expect(() => gatedDeltaRule(q, k.slice(-1, 1), v, gates)).toThrow(/q and k must be \[B, L, K, Dk\]/);
    expect(() => gatedDeltaRule(q, k, v.slice(2, 1), gates)).toThrow(/H must be a multiple of K/);
    expect(() => gatedDeltaRule(q, k, v, { logDecay, beta: beta.slice(1, 1) })).toThrow(/must be \[B, L, H\]/);
    expect(() => gatedDeltaRule(q, k, v, { ...gates, chunk: 0 })).toThrow(/chunk must be a positive integer, got 0/);
    expect(() => gatedDeltaRule(q, k, v, { ...gates, state: device().zeros([1, 4, 6, 6]) })).toThrow(
      /the state must be \[1, 4, 6, 5\]/,
    );
    expect(() => mamba2Scan(v, { dt: logDecay, a: device().zeros([3]), b: k, c: q })).toThrow(
      /mamba2Scan: a must be \[4\], got \[3\]/,
    );
    const packed = tensors(recurrentCase(1, 3, sizes), 3);
    expect(() =>
      packedGatedDeltaRule(packed.q, packed.k, packed.v, {
        logDecay: packed.logDecay,
        beta: packed.beta,
        segments: ints(0, 0),
      }),
    ).toThrow(/segments must be \[T\]/);
  });
});
