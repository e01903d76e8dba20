import { type Device, gradients, randomBits, type Tensor, threefry2x32 } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { normalTensor, relativeError, valuesOf } from '../testing/numbers.ts';
import { compilesSlowly, slowHere } from '../testing/software-gpu.ts';
import { attention, attentionWithLse } from './attention.ts';

const [B, L, S, H, K, D] = [2, 5, 13, 4, 2, 16];
const onGpu = backendName.startsWith('webgpu');
/** Two sequences, the border among the queries. */
const segmentOf = (position: number) => Number(position >= 10);
const values = async (x: Tensor) => Array.from(await x.data());

conformance('dropout of attention', (device: () => Device) => {
  const make = (seed: number, shape: readonly number[]) => normalTensor(device(), seed, shape);
  const inputs = () => [make(1, [B, L, H, D]), make(2, [B, S, K, D]), make(3, [B, S, K, D])] as const;

  /** Factors of the probabilities by the host's threefry, `[B, H, L, S]`. */
  async function factors(seed: number, p: number): Promise<Tensor> {
    const keys = await randomBits(device(), [B, H, 2], seed).data();
    const threshold = Math.round(p * 2 ** 16);
    const all: number[] = [];
    for (let head = 0; head < B * H; head++)
      for (let l = 0; l < L; l++)
        for (let s = 0; s < S; s++) {
          const words = threefry2x32(keys[2 * head]!, keys[2 * head + 1]!, s >> 2, l);
          const draw = (words[(s >> 1) & 1]! >>> (16 * (s & 1))) & 0xffff;
          all.push(draw < threshold ? 0 : 2 ** 16 / (2 ** 16 - threshold));
        }
    return device().tensor(Float32Array.from(all), { shape: [B, H, L, S] });
  }

  /** The same in plain operations. */
  function explicit(q: Tensor, k: Tensor, v: Tensor, kept: Tensor): Tensor {
    const rows = q.reshape([B, L, K, H / K, D]).permute([0, 2, 3, 1, 4]);
    const columns = (x: Tensor) => x.permute([0, 2, 1, 3]).reshape([B, K, 1, S, D]);
    const scores = rows.matmul(columns(k), { transposeB: true }).mul(D ** -0.5);
    const hidden = Array.from({ length: L * S }, (_, i) => {
      const position = Math.floor(i / S) + S - L;
      return position < i % S || segmentOf(position) !== segmentOf(i % S) ? -1e9 : 0;
    });
    const seen = scores.add(device().tensor(Float32Array.from(hidden), { shape: [L, S] }));
    const weights = seen.sub(seen.max(-1, { keepDims: true })).exp();
    const dropped = weights.div(weights.sum(-1, { keepDims: true })).mul(kept.reshape([B, K, H / K, L, S]));
    return dropped.matmul(columns(v)).permute([0, 3, 1, 2, 4]).reshape([B, L, H, D]);
  }

  test('leaves out what the host draws, and replays it in the gradients', async () => {
    const [q, k, v] = inputs();
    const dropout = { p: 0.3, seed: 77 };
    const kept = await factors(77, 0.3);
    const share = (await values(kept)).filter((x) => x === 0).length / (B * H * L * S);
    expect(Math.abs(share - 0.3)).toBeLessThan(0.07);
    // with packed sequences, so that a software GPU compiles the kernels of both at once
    const ids = Int32Array.from({ length: B * S }, (_, i) => segmentOf(i % S));
    const segments = device().tensor(ids, { shape: [B, S] });
    const { out, lse } = attentionWithLse(q, k, v, { causal: true, segments, dropout });
    const expected = explicit(q, k, v, kept);
    expect(relativeError(await values(out), await values(expected))).toBeLessThan(5e-6);
    // the log-sum-exp is that of all scores
    const plain = attentionWithLse(q, k, v, { causal: true, segments }).lse;
    expect(relativeError(await values(lse), await values(plain))).toBeLessThan(1e-6);
    const weights = make(4, [B, L, H, D]);
    const [found, wanted] = [out, expected].map((x) => gradients(x.mul(weights).sum(), [q, k, v]));
    const all = await valuesOf(device(), [...found!, ...wanted!]);
    for (const i of [0, 1, 2]) expect(relativeError(all[i]!, all[3 + i]!), `gradient ${i}`).toBeLessThan(2e-5);
  });

  test('a seed in a tensor is the same seed, another gives other draws, and p = 0 none', async () => {
    const [q, k, v] = inputs();
    const with_ = (p: number, seed: number | Tensor) =>
      values(attention(q, k, v, { causal: true, dropout: { p, seed } }));
    const a = await with_(0.3, 77);
    expect(await with_(0.3, device().tensor(Uint32Array.of(77, 0)))).toEqual(a);
    expect(relativeError(await with_(0.3, 78), a)).toBeGreaterThan(0.1);
    expect(relativeError(await with_(0, 77), await values(attention(q, k, v, { causal: true })))).toBeLessThan(1e-6);
  });

  test('in f16, packed, by whatever kernels the device has', async (context) => {
    if (compilesSlowly(device())) context.skip(slowHere);
    const [rows, dim] = [70, 32];
    const shape = [1, rows, 2, dim];
    const ids = device().tensor(
      Int32Array.from({ length: rows }, (_, i) => Math.floor(i / 30)),
      { shape: [1, rows] },
    );
    const spec = { causal: true, segments: ids, dropout: { p: 0.3, seed: 5 } };
    const floats = [make(1, shape), make(2, shape), make(3, shape)] as const;
    const halves = floats.map((x) => x.cast('f16')) as [Tensor, Tensor, Tensor];
    const weights = make(4, shape);
    const [exact, rounded] = [floats, halves].map(([q, k, v]) => {
      const out = attention(q!, k!, v!, spec).cast('f32');
      // on a GPU the gradients with dropout are by the kernels of the first test
      return onGpu ? [out] : [out, ...gradients(out.mul(weights).sum(), [q!, k!, v!])];
    });
    const all = await valuesOf(device(), [...rounded!, ...exact!]);
    for (const i of exact!.keys()) expect(relativeError(all[i]!, all[exact!.length + i]!), `${i}`).toBeLessThan(3e-3);
  }, 120_000);

  test('refuses a p that is none', () => {
    const [q, k, v] = inputs();
    for (const p of [1, -0.1, Number.NaN])
      expect(() => attention(q, k, v, { dropout: { p, seed: 1 } })).toThrow(
        /dropout:? p must be (a number|in \[0, 1\)), got/,
      );
  });
});
