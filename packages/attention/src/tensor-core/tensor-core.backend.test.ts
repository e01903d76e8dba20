import { type Device, gradients, type Tensor, where } from '@heddle/tensor';
import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { attentionWithLse } from '../dense/attention.ts';
import type { AttentionSpec } from '../dense/attention-spec.ts';
import type { ScoreMod } from '../flex/trace.ts';
import { paged } from '../kernels/flash.ts';
import { naive } from '../kernels/naive.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { scorePairs } from '../testing/score-pairs.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';

/** Heads of 32 and small tiles: drivers that emulate subgroup matrices take seconds to compile each kernel. */
const D = 32;
const values = async (x: Tensor) => Array.from(await x.cast('f32').data());

conformance('attention in f16, by subgroup matrices where there are some', (device: () => Device) => {
  const halves = (seed: number, shape: readonly number[], factor = 1) =>
    device()
      .tensor(
        normal(
          seed,
          shape.reduce((a, b) => a * b),
        ).map((x) => x * factor),
        { shape },
      )
      .cast('f16')
      .realize();
  /** Output, log-sum-exp and gradients against the same in f32. */
  async function check(
    [B, L, S, H, K]: readonly [number, number, number, number, number],
    spec: AttentionSpec,
    factor = 1,
  ): Promise<void> {
    const x = await Promise.all([halves(1, [B, L, H, D], factor), halves(2, [B, S, K, D]), halves(3, [B, S, K, D])]);
    const weights = await halves(4, [B, L, H, D]);
    const run = async (q: Tensor, k: Tensor, v: Tensor) => {
      const { out, lse } = attentionWithLse(q, k, v, spec);
      const found = gradients(out.cast('f32').mul(weights.cast('f32')).sum(), [q, k, v]);
      return Promise.all([out, lse, ...found].map(values));
    };
    const full = (await Promise.all(x.map((t) => t.cast('f32').realize()))) as [Tensor, Tensor, Tensor];
    const [got, want] = [await run(...(x as [Tensor, Tensor, Tensor])), await run(...full)];
    for (const [i, name] of ['out', 'lse', 'dq', 'dk', 'dv'].entries())
      expect(relativeError(got[i]!, want[i]!), name).toBeLessThan(2e-3);
  }

  test('grouped heads, causal, sizes that no tile divides', async () => {
    await check([2, 37, 53, 4, 2], { causal: true });
  }, 400_000);

  test('large scores, whose maximum grows from tile to tile; keys of some lengths', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    await check([2, 19, 70, 2, 2], { keyLengths: device().tensor(Int32Array.of(0, 61)) }, 8);
  }, 400_000);

  test('softcap and ALiBi in a window', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    await check([1, 70, 70, 2, 1], { causal: true, window: 40, softcap: 2, alibi: true });
  }, 400_000);

  test('a key that a score function hides changes nothing, whatever it is', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [L, H, hidden] = [70, 2, 6];
    const make = (seed: number, isBad: boolean) => {
      const list = normal(seed, L * H * D).map((x, i) =>
        isBad && Math.floor(i / (H * D)) === hidden ? Number.NaN : x,
      );
      return device()
        .tensor(list, { shape: [1, L, H, D] })
        .cast('f16')
        .realize();
    };
    const scoreMod: ScoreMod = (score, { k }) => where(k.equal(hidden), Number.NEGATIVE_INFINITY, score);
    const run = async (isBad: boolean) => {
      const [q, k, v] = await Promise.all([make(1, false), make(2, isBad), make(3, isBad)]);
      const out = attentionWithLse(q, k, v, { scoreMod }).out;
      const found = gradients(out.cast('f32').mul(q.cast('f32')).sum(), [q, k, v]);
      return Promise.all([out, ...found].map(values));
    };
    const [clean, got] = [await run(false), await run(true)];
    for (const i of [0, 1, 2, 3])
      expect(
        got[i]!.map((x) => x + 0),
        ['out', 'dq', 'dk', 'dv'][i]!,
      ).toEqual(clean[i]!.map((x) => x + 0));
  }, 400_000);

  test('packed rows over pages and over each other; rows of nothing give 0', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [H, K, blockSize, blocks] = [4, 2, 4, 16];
    const lengths = [0, 17, 40];
    const rows = [20, 3, 9];
    const places = rows.flatMap((count, b) => Array.from({ length: count }, (_, i) => [b, lengths[b]! + i]));
    const all = [...places, [-1, 0], [-1, 0]];
    const spec = {
      segments: device().tensor(Int32Array.from(all, ([segment]) => segment!)),
      positions: device().tensor(Int32Array.from(all, ([, position]) => position!)),
      window: 30,
    };
    const slots = lengths.length * blocks * blockSize;
    const [q, k, v, keys, cached] = (await Promise.all([
      halves(1, [all.length, H, D]),
      halves(2, [all.length, K, D]),
      halves(3, [all.length, K, D]),
      halves(4, [slots, K, D]),
      halves(5, [slots, K, D]),
    ])) as [Tensor, Tensor, Tensor, Tensor, Tensor];
    const count = lengths.length * blocks;
    const table = Int32Array.from({ length: count }, (_, i) => (i * 7) % count);
    const kv = {
      keys,
      values: cached,
      blockTable: device().tensor(table, { shape: [lengths.length, blocks] }),
      lengths: device().tensor(Int32Array.from(lengths)),
      blockSize,
      maxLength: blocks * blockSize,
    };
    const full = { ...kv, keys: keys.cast('f32'), values: cached.cast('f32') };
    const functions = scorePairs.hiding.ofTensors(device(), { B: rows.length, H });
    for (const own of [
      spec,
      { ...spec, ...functions },
      { ...spec, ...scorePairs.distances.ofTensors(device(), { B: 3, H }) },
    ]) {
      const got = await values(paged().attend(q, k, v, kv, own));
      const want = await values(naive().attend(q.cast('f32'), k.cast('f32'), v.cast('f32'), full, own));
      expect(relativeError(got, want)).toBeLessThan(2e-3);
      expect(got.slice(-2 * H * D).every((x) => x === 0)).toBe(true);
    }
  }, 400_000);
});
