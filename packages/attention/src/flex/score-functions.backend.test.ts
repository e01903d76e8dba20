import { compile, type Device, gradients, softmax, type Tensor, take, where } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { alibiSlopes } from '../dense/alibi.ts';
import { attention } from '../dense/attention.ts';
import type { AttentionSpec } from '../dense/attention-spec.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import type { MaskMod, ScoreMod, ScorePlace } from './trace.ts';

const [B, L, S, H, K, D] = [2, 9, 12, 4, 2, 16];
const values = async (x: Tensor) => Array.from(await x.data());

conformance('score and mask functions', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const inputs = () => [make(1, [B, L, H, D]), make(2, [B, S, K, D]), make(3, [B, S, K, D])] as const;

  /** Two specs that say the same: outputs and gradients, also by `extra`. */
  async function same(a: AttentionSpec, b: AttentionSpec, extra: readonly Tensor[] = []): Promise<void> {
    const [q, k, v] = inputs();
    const weights = make(4, [B, L, H, D]);
    const [x, y] = [a, b].map((spec) => attention(q, k, v, spec));
    const wrt = [q, k, v, ...extra];
    const [gx, gy] = [x!, y!].map((out) => gradients(out.mul(weights).sum(), wrt));
    const [first, second, ...found] = await valuesOf(device(), [x!, y!, ...gx!, ...gy!]);
    expect(relativeError(first!, second!)).toBeLessThan(5e-6);
    for (const i of wrt.keys())
      expect(relativeError(found[i]!, found[wrt.length + i]!), `gradient ${i}`).toBeLessThan(2e-5);
  }
  /** A bool tensor `[L, S]` of positions. */
  const table = (sees: (q: number, k: number) => boolean, rows: readonly number[] = [L, S]) =>
    device().tensor(
      Uint8Array.from({ length: L * S }, (_, i) => Number(sees(Math.floor(i / S) + S - L, i % S))),
      { shape: rows, dtype: 'bool' },
    );

  test('ALiBi', async () => {
    const slopes = await alibiSlopes(device(), H).realize();
    const scoreMod: ScoreMod = (score, { h, q, k }) => score.sub(take(slopes, h).mul(q.sub(k).abs().cast('f32')));
    await same({ scoreMod, causal: true }, { alibi: slopes, causal: true }, [slopes]);
  });

  test('softcap and a sliding window', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const maskMod: MaskMod = ({ q, k }) => q.sub(k).less(4).and(k.lessEqual(q));
    await same({ scoreMod: (score) => score.div(3).tanh().mul(3), maskMod }, { softcap: 3, window: 4, causal: true });
  });

  test('prefix-LM: a prefix that all see, then causal', async () => {
    const maskMod: MaskMod = ({ q, k }) => k.less(5).or(k.lessEqual(q));
    await same({ maskMod }, { mask: table((q, k) => k < 5 || k <= q) });
  });

  test('documents: tokens see their own', async () => {
    const documents = device().tensor(Int32Array.from({ length: S }, (_, i) => Math.floor(i / 5)));
    const maskMod: MaskMod = ({ q, k }) => take(documents, q).equal(take(documents, k));
    await same({ maskMod }, { mask: table((q, k) => Math.floor(q / 5) === Math.floor(k / 5)) });
  });

  test('a neighbourhood on a grid of 4 columns', async () => {
    const near = (a: Tensor, b: Tensor) => a.sub(b).abs().lessEqual(1);
    const row = (x: Tensor) => x.div(4);
    const column = (x: Tensor) => x.sub(row(x).mul(4));
    const maskMod: MaskMod = ({ q, k }) => near(row(q), row(k)).and(near(column(q), column(k)));
    const sees = (q: number, k: number) =>
      Math.abs(Math.floor(q / 4) - Math.floor(k / 4)) <= 1 && Math.abs((q % 4) - (k % 4)) <= 1;
    await same({ maskMod }, { mask: table(sees) });
  });

  test('T5 buckets: a learned bias of head and clipped distance, with its gradient', async () => {
    const buckets = 6;
    const bias = make(5, [H * buckets]);
    const bucket = (q: Tensor, k: Tensor) =>
      q
        .sub(k)
        .maximum(0)
        .minimum(buckets - 1);
    const scoreMod: ScoreMod = (score, { h, q, k }) => score.add(take(bias, h.mul(buckets).add(bucket(q, k))));
    const index = Int32Array.from({ length: H * L * S }, (_, i) => {
      const [q, k] = [(Math.floor(i / S) % L) + S - L, i % S];
      return Math.floor(i / (L * S)) * buckets + Math.min(Math.max(q - k, 0), buckets - 1);
    });
    const full = take(bias, device().tensor(index, { shape: [H, L, S] }));
    await same({ scoreMod, causal: true }, { bias: full, causal: true }, [bias]);
  });

  test('a score function of sequence and head', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const scoreMod: ScoreMod = (score, { b, h }) => where(b.equal(1).and(h.less(2)), score.mul(0.5), score);
    const factor = device().tensor(
      Float32Array.from({ length: B * H }, (_, i) => (i >= H && i % H < 2 ? 0.5 : 1)),
      { shape: [B, H, 1, 1] },
    );
    const [q, k, v] = inputs();
    const scaled = q.mul(factor.reshape([B, 1, H, 1]));
    const [a, b] = [attention(q, k, v, { scoreMod }), attention(scaled, k, v)];
    expect(relativeError(await values(a), await values(b))).toBeLessThan(5e-6);
    const [ga, gb] = [a, b].map((out) => gradients(out.mul(make(4, [B, L, H, D])).sum(), [q, k, v]));
    for (const i of [0, 1, 2])
      expect(relativeError(await values(ga![i]!), await values(gb![i]!)), `gradient ${i}`).toBeLessThan(2e-5);
  });

  test('nothing comes of keys that are not seen, whatever the function makes of them, nor of rows that see none', async () => {
    const before = ({ q, k }: ScorePlace) => q.sub(k).cast('f32');
    const maskMod: MaskMod = ({ q, k }) => k.less(q.sub(3));
    await same(
      { maskMod, scoreMod: (score, place) => score.mul(before(place).log()) },
      { mask: table((q, k) => k < q - 3), scoreMod: (score, place) => score.mul(before(place).maximum(4).log()) },
    );
    const [q, k, v] = inputs();
    const [byQ] = gradients(attention(q, k, v, { maskMod }).sum(), [q]);
    expect((await values(byQ!.slice(1, 0, 1))).every((x) => x === 0)).toBe(true);
  });

  test('second derivatives', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const bias = make(5, [H]);
    const [q, k, v] = inputs();
    const wrt = [q, k, v, bias];
    const ofSquares = (spec: AttentionSpec) => {
      const out = attention(q, k, v, spec);
      const first = gradients(out.mul(out).sum(), wrt);
      return gradients(
        first.map((g) => g.mul(g).sum()).reduce((a, b) => a.add(b)),
        wrt,
      );
    };
    const scoreMod: ScoreMod = (score, { h }) => score.div(2).tanh().mul(2).mul(take(bias, h));
    const found = ofSquares({ scoreMod, causal: true });
    // the same with the head's factor in the values of q's softcapped scores, by decomposition alone
    const rows = (x: Tensor) => x.permute([0, 2, 1, 3]);
    const keys = (x: Tensor) =>
      rows(x)
        .reshape([B, K, 1, S, D])
        .expand([B, K, H / K, S, D])
        .reshape([B, H, S, D]);
    const explicit = () => {
      const capped = rows(q)
        .matmul(keys(k), { transposeB: true })
        .mul(D ** -0.5)
        .div(2)
        .tanh()
        .mul(2);
      const hidden = where(
        table((q, k) => k <= q),
        0,
        -1e9,
      );
      const weights = softmax(capped.mul(bias.reshape([H, 1, 1])).add(hidden));
      const out = rows(weights.matmul(keys(v)));
      const first = gradients(out.mul(out).sum(), wrt);
      return gradients(
        first.map((g) => g.mul(g).sum()).reduce((a, b) => a.add(b)),
        wrt,
      );
    };
    const wanted = explicit();
    const all = await valuesOf(device(), [...found, ...wanted]);
    for (const i of wrt.keys()) expect(relativeError(all[i]!, all[wrt.length + i]!), `${i}`).toBeLessThan(2e-5);
  });

  test('gradients with respect to q, k and v hold no scores, forward or backward', async (context) => {
    if (!backendName.startsWith('webgpu')) context.skip('the other executors hold them');
    const [rows, dim] = [512, 8];
    const step = compile((q: Tensor, k: Tensor, v: Tensor) =>
      gradients(
        attention(q, k, v, {
          scoreMod: (score, place) => score.sub(place.q.sub(place.k).cast('f32').mul(0.1)).div(3).tanh().mul(3),
          maskMod: (place) => place.k.lessEqual(place.q),
        }).sum(),
        [q, k, v],
      ),
    );
    for (const x of await step(...([1, 2, 3].map((seed) => make(seed, [1, rows, 2, dim])) as [Tensor, Tensor, Tensor])))
      x.dispose();
    const labels = (await step.report()).kernels.map(({ kernel }) => kernel);
    for (const name of ['attention', 'attentionQueryGradient', 'attentionKeyGradient'])
      expect(
        labels.some((label) => label.startsWith(name)),
        `${name} of ${labels}`,
      ).toBe(true);
    // inputs and outputs are 32 KiB each; the scores of one head would be 1 MiB
    expect(step.plannedBytes()!.peak).toBeLessThan(rows * rows * 2);
    step.dispose();
  });

  test('in f16, by subgroup matrices where there are some', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [rows, keys, dim] = [37, 53, 32];
    const slopes = await make(5, [H]).realize();
    const scoreMod: ScoreMod = (score, { h, q, k }) =>
      score
        .div(2)
        .tanh()
        .mul(2)
        .sub(take(slopes, h).mul(q.sub(k).abs().cast('f32').mul(0.1)));
    const spec: AttentionSpec = { scoreMod, maskMod: ({ q, k }) => k.less(9).or(k.lessEqual(q)) };
    const shapes = [
      [1, rows, H, dim],
      [1, keys, K, dim],
      [1, keys, K, dim],
    ];
    const halves = await Promise.all(
      shapes.map((shape, i) =>
        make(i + 1, shape)
          .cast('f16')
          .realize(),
      ),
    );
    const floats = await Promise.all(halves.map((x) => x.cast('f32').realize()));
    const weights = await make(4, [1, rows, H, dim]).cast('f16').cast('f32').realize();
    const [got, want] = [halves, floats].map(([q, k, v]) => {
      const out = attention(q!, k!, v!, spec);
      return [out, ...gradients(out.cast('f32').mul(weights).sum(), [q!, k!, v!, slopes])];
    });
    const all = await valuesOf(device(), [...got!, ...want!]);
    for (const i of got!.keys()) expect(relativeError(all[i]!, all[got!.length + i]!), `${i}`).toBeLessThan(2e-3);
  }, 120_000);

  test('scores and places that are moved are those of where they came from', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [q, k, v] = inputs();
    // a score from the other end of the keys is one with the keys the other way round
    const [flipped, turned] = [attention(q, k, v, { scoreMod: (score) => score.flip(3) }), attention(q, k.flip(1), v)];
    expect(relativeError(await values(flipped), await values(turned))).toBeLessThan(5e-6);
    const bias = device().tensor(Float32Array.from({ length: S }, (_, i) => 0.1 * (S - 1 - i)));
    await same({ scoreMod: (score, { k }) => score.add(k.flip(3).cast('f32').mul(0.1)) }, { bias });
  });

  test('refuses functions that give something else', () => {
    const [q, k, v] = inputs();
    expect(() => attention(q, k, v, { maskMod: ({ q, k }) => q.sub(k) })).toThrow(/maskMod must give bool, got i32/);
    expect(() => attention(q, k, v, { scoreMod: () => make(1, [7]) })).toThrow(/scoreMod|broadcast/);
  });
});
