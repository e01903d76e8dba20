import { compile, type Device, gradients, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly } from '../testing/software-gpu.ts';
import { attention, attentionWithLse } from './attention.ts';
import { lowestScore } from './mask-value.ts';
import { mergeAttention } from './merge-attention.ts';

const [B, L, S, H, K, D] = [2, 7, 11, 4, 2, 16];
const values = async (x: Tensor) => Array.from(await x.data());

conformance('rules of attention', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const inputs = () => [make(1, [B, L, H, D]), make(2, [B, S, K, D]), make(3, [B, S, K, D])] as const;
  const bools = (shape: readonly number[], f: (i: number) => boolean) =>
    device().tensor(
      Uint8Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => Number(f(i))),
      { shape, dtype: 'bool' },
    );

  test('queries that see no key give 0, with gradient 0, and so do keys that nobody sees', async () => {
    const [q, k, v] = inputs();
    const keyLengths = device().tensor(Int32Array.of(0, 4));
    const { out, lse } = attentionWithLse(q, k, v, { keyLengths });
    const [first, second] = [(await values(out)).slice(0, L * H * D), (await values(out)).slice(L * H * D)];
    expect(first.every((x) => x === 0)).toBe(true);
    expect(second.every((x) => x !== 0 && Number.isFinite(x))).toBe(true);
    expect((await values(lse)).slice(0, H * L).every((x) => x === Math.fround(lowestScore))).toBe(true);
    const found = await valuesOf(device(), gradients(out.mul(out).sum(), [q, k, v]));
    expect(found[0]!.slice(0, L * H * D).every((x) => x === 0)).toBe(true);
    expect(found[0]!.slice(L * H * D).every((x) => Number.isFinite(x))).toBe(true);
    for (const byKeys of found.slice(1)) {
      expect(byKeys.slice(0, S * K * D).every((x) => x === 0)).toBe(true);
      expect(byKeys.slice((S + 4) * K * D).every((x) => x === 0)).toBe(true);
      expect(byKeys.slice(S * K * D, (S + 4) * K * D).some((x) => x !== 0)).toBe(true);
    }
    expect((await values(attention(q, k, v, { keyLengths }))).slice(0, L * H * D).every((x) => x === 0)).toBe(true);
  });

  test('more queries than keys: the first, which stand before every key, see none of them', async () => {
    const [q, k, v] = [make(1, [1, 5, 2, D]), make(2, [1, 3, 2, D]), make(3, [1, 3, 2, D])];
    const out = await values(attention(q, k, v, { causal: true }));
    expect(out.slice(0, 2 * 2 * D).every((x) => x === 0)).toBe(true);
    expect(out.slice(2 * 2 * D).every((x) => x !== 0)).toBe(true);
  });

  test('a row hidden by a bias or a score of minus infinity gives 0, with gradient 0; finite scores count', async () => {
    const [q, k, v] = inputs();
    const at = (value: number) =>
      device().tensor(
        Float32Array.from({ length: L * S }, (_, i) => (Math.floor(i / S) === 2 ? value : 0)),
        { shape: [L, S] },
      );
    const row = (list: readonly number[], b: number) => list.slice((b * L + 2) * H * D, (b * L + 3) * H * D);
    const plain = await values(attention(q, k, v));
    const specs = [{ bias: at(-Infinity) }, { scoreMod: (x: Tensor) => x.add(at(-Infinity)) }];
    for (const spec of compilesSlowly(device()) ? specs.slice(0, 1) : specs) {
      const out = attention(q, k, v, spec);
      const got = await values(out);
      const found = await valuesOf(device(), gradients(out.mul(out).sum(), [q, k, v]));
      expect(found.flat().every(Number.isFinite)).toBe(true);
      for (const b of [0, 1]) expect([...row(got, b), ...row(found[0]!, b)].every((x) => x === 0)).toBe(true);
      expect(relativeError(got.slice(0, 2 * H * D), plain.slice(0, 2 * H * D))).toBeLessThan(1e-6);
    }
    const means = await values(
      v
        .mean(1)
        .reshape([B, 1, K, 1, D])
        .expand([B, 1, K, H / K, D]),
    );
    for (const low of [-3.4028235e38, -1e30]) {
      const got = await values(attention(q, k, v, { bias: at(low) }));
      for (const b of [0, 1])
        expect(relativeError(row(got, b), means.slice(b * H * D, (b + 1) * H * D))).toBeLessThan(1e-5);
    }
  });

  test('first keys that a window keeps', async () => {
    const [q, k, v] = inputs();
    const keep = attention(q, k, v, { causal: true, window: 3, keepFirst: 2 });
    const mask = bools([L, S], (i) => {
      const back = Math.floor(i / S) + S - L - (i % S);
      return back >= 0 && (back < 3 || i % S < 2);
    });
    expect(relativeError(await values(keep), await values(attention(q, k, v, { mask })))).toBeLessThan(2e-6);
  });

  test('a bias that broadcasts, with its gradient', async () => {
    const [q, k, v] = inputs();
    const weights = make(5, [B, L, H, D]);
    const shapes = [[H, 1, S], [S], [B, 1, 1, S], [1, H, L, S]];
    for (const shape of compilesSlowly(device()) ? shapes.slice(0, 1) : shapes) {
      const bias = make(4, shape);
      const loss = (x: Tensor) => attention(q, k, v, { causal: true, bias: x }).mul(weights).sum();
      const [found] = await Promise.all(gradients(loss(bias), [bias]).map(values));
      const direction = make(6, shape);
      const along = (await values(direction)).reduce((sum, x, i) => sum + x * found![i]!, 0);
      const step = 1e-2;
      const [up, down] = [
        await loss(bias.add(direction.mul(step))).item(),
        await loss(bias.sub(direction.mul(step))).item(),
      ];
      expect(Math.abs(along - (up - down) / (2 * step)), `[${shape}]`).toBeLessThan(5e-3 * (1 + Math.abs(along)));
    }
  });

  test('keys in parts are merged exactly, with gradients', async () => {
    const [q, k, v] = inputs();
    const cut = (x: Tensor) => [x.slice(1, 0, 4), x.slice(1, 4, 5), x.slice(1, 5)];
    const whole = attentionWithLse(q, k, v);
    const parts = cut(k).map((part, i) => attentionWithLse(q, part, cut(v)[i]!));
    const merged = mergeAttention(
      parts.map(({ out }) => out),
      parts.map(({ lse }) => lse),
    );
    expect(relativeError(await values(merged.out), await values(whole.out))).toBeLessThan(2e-6);
    expect(relativeError(await values(merged.lse), await values(whole.lse))).toBeLessThan(2e-6);
    const weights = make(7, [B, L, H, D]);
    const [a, b] = [merged, whole].map(({ out, lse }) => gradients(out.mul(weights).sum().add(lse.sum()), [q, k, v]));
    const all = await valuesOf(device(), [...a!, ...b!]);
    for (const i of [0, 1, 2]) expect(relativeError(all[i]!, all[3 + i]!)).toBeLessThan(2e-5);
  });

  test('a part without keys adds nothing', async () => {
    const [q, k, v] = inputs();
    const { out, lse } = attentionWithLse(q, k, v);
    const none = attentionWithLse(q, k, v, { keyLengths: device().tensor(Int32Array.of(0, 0)) });
    const merged = mergeAttention([none.out, out], [none.lse, lse]);
    expect(relativeError(await values(merged.out), await values(out))).toBeLessThan(1e-6);
  });

  test('one compiled function for all lengths', async () => {
    const heads = { q: [H, D], kv: [K, D] } as const;
    const f = compile((q: Tensor, k: Tensor, v: Tensor) => attention(q, k, v, { causal: true }), {
      device: device(),
      inputs: [
        { shape: ['B', 'L', ...heads.q] },
        { shape: ['B', 'S', ...heads.kv] },
        { shape: ['B', 'S', ...heads.kv] },
      ],
      symbols: { B: 4, L: 64, S: 64 },
    });
    for (const [b, l, s] of [
      [1, 1, 1],
      [2, 5, 9],
      [3, 33, 40],
      [1, 6, 2],
    ] as const) {
      const [q, k, v] = [make(1, [b, l, H, D]), make(2, [b, s, K, D]), make(3, [b, s, K, D])];
      const expected = await values(attention(q, k, v, { causal: true }));
      expect(relativeError(await values(await f(q, k, v)), expected), `${b} ${l} ${s}`).toBeLessThan(2e-6);
    }
    f.dispose();
  });

  test('the same call gives the same bits, gradients too', async () => {
    const [q, k, v] = inputs();
    const run = () => valuesOf(device(), gradients(attention(q, k, v, { causal: true }).exp().sum(), [q, k, v]));
    expect(await run()).toEqual(await run());
  });

  test('refuses what does not fit', () => {
    const [q, k, v] = inputs();
    expect(() => attention(make(1, [B, L, 3, D]), k, v)).toThrow(/q a multiple of its heads, got \[2, 7, 3, 16\]/);
    expect(() => attention(q, k, v, { keepFirst: 2 })).toThrow(/keepFirst needs a window, .*, got 2 without one/);
    expect(() => attention(q, k, v, { window: 0 })).toThrow(/window must be a positive integer, got 0/);
    expect(() => attention(q, k, v, { cusal: true } as never)).toThrow(
      /attention: has no option cusal; its options are .*causal/,
    );
    expect(() => attention(q, k, v, { mask: [[true]] } as never)).toThrow(/mask must be a tensor, got Array/);
    expect(() => attention(q, k, v, { scoreMod: 3 } as never)).toThrow(/scoreMod must be a function, got the number 3/);
    expect(() => attention(q, k, v, { scoreMod: () => undefined } as never)).toThrow(
      /what scoreMod gives must be a tensor, got undefined/,
    );
    expect(() => attention(q, k, v, { maskMod: () => true } as never)).toThrow(/what maskMod gives must be a tensor/);
    expect(() => attention(q, k, v, { causal: 'no' } as never)).toThrow(
      /causal must be true or false, got the string no/,
    );
    expect(() => attention(q, k, v, { softcap: -1 })).toThrow(/softcap must be a positive number/);
    expect(() => attention(q, k, v, { mask: make(1, [S]) })).toThrow(/mask must be bool, got f32/);
    expect(() => attention(q, k, v, { bias: make(1, [5]) })).toThrow(/bias/);
    expect(() => attention(q, k, v, { sinks: make(1, [3]) })).toThrow(/sinks must be \[4\], got \[3\]/);
    expect(() => mergeAttention([], [])).toThrow(/as many outputs/);
  });
});
