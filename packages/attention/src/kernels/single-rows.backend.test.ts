import { compile, symbolicDim, type Tensor } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { normal, relativeError } from '../testing/numbers.ts';
import { singleRows } from './flash.ts';

type Rows = Record<'q' | 'k' | 'v' | 'segments' | 'positions' | 'keys' | 'values' | 'blockTable' | 'lengths', Tensor>;

const lengths = [0, 1, 5, 127, 128, 129, 255, 300, 511, 640, 700, 767];
const [H, K, N, blockSize] = [2, 1, 48, 16];
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Sequences with N blocks each, one behind the other, and a row of each. */
function sequences(D: number, window: number | undefined) {
  const [keys, values] = [1, 2].map((seed) => normal(seed, lengths.length * N * blockSize * K * D));
  const [q, k, v] = [H, K, K].map((heads, i) => normal(3 + i, lengths.length * heads * D));
  const cut = (list: readonly number[], from: number) => list.slice(from * D, (from + 1) * D);
  /** What the row of a sequence gives, straight from the definition. */
  const expected = (b: number): number[] => {
    const length = lengths[b]!;
    const places = Array.from({ length }, (_, j) => b * N * blockSize + j).slice(window ? -(window - 1) : 0);
    const all = [...places.map((place) => cut(keys!, place)), cut(k!, b)];
    const those = [...places.map((place) => cut(values!, place)), cut(v!, b)];
    return Array.from({ length: H }, (_, h) => {
      const weights = all.map((key) => Math.exp(dot(cut(q!, b * H + h), key) / Math.sqrt(D)));
      const total = weights.reduce((a, x) => a + x);
      return Array.from({ length: D }, (_, d) => weights.reduce((a, x, i) => a + x * those[i]![d]!, 0) / total);
    }).flat();
  };
  const rowsOf = (which: readonly number[], list: readonly number[], heads: number) =>
    Float32Array.from(which.flatMap((b) => list.slice(b * heads * D, (b + 1) * heads * D)));
  const fed = (which: readonly number[]) => ({
    q: rowsOf(which, q!, H),
    k: rowsOf(which, k!, K),
    v: rowsOf(which, v!, K),
    segments: Int32Array.from(which.keys()),
    positions: Int32Array.from(which, (b) => lengths[b]!),
    keys: Float32Array.from(keys!),
    values: Float32Array.from(values!),
    blockTable: Int32Array.from(which.flatMap((b) => Array.from({ length: N }, (_, n) => b * N + n))),
    lengths: Int32Array.from(which, (b) => lengths[b]!),
  });
  return { expected, fed };
}

conformance('attention of single rows', (device) => {
  for (const [D, window] of [
    [32, undefined],
    [32, 200],
    [20, undefined],
  ] as const)
    test(`heads of ${D}, window ${window}: right in any company, and on WebGPU the same to the last bit`, async (context) => {
      leaveToNode(context);
      const { expected, fed } = sequences(D, window);
      const ints = (...shape: (number | string)[]) => ({ shape, dtype: 'i32' }) as const;
      const floats = (...shape: (number | string)[]) => ({ shape });
      const pool = floats(lengths.length * N * blockSize, K, D);
      const maxLength = symbolicDim('S', N * blockSize);
      const step = compile(
        ({ q, k, v, segments, positions, ...kv }: Rows) =>
          singleRows().attend(
            q,
            k,
            v,
            { ...kv, blockSize, maxLength },
            { segments, positions, ...(window && { window }) },
          ),
        {
          device: device(),
          onePlan: true,
          inputs: [
            {
              q: floats('T', H, D),
              k: floats('T', K, D),
              v: floats('T', K, D),
              segments: ints('T'),
              positions: ints('T'),
              keys: pool,
              values: pool,
              blockTable: ints('T', N),
              lengths: ints('T'),
            },
          ],
          symbols: { T: lengths.length, S: N * blockSize },
        },
      );
      const rows = async (which: readonly number[]): Promise<number[][]> => {
        const S = Math.max(1, ...which.map((b) => lengths[b]!));
        const out = await (await step.run([fed(which)], { symbols: { S } })).data();
        return which.map((_, i) => Array.from(out.slice(i * H * D, (i + 1) * H * D), Number));
      };
      const alone: number[][] = [];
      for (const b of lengths.keys()) {
        const [row] = await rows([b]);
        expect(relativeError(row!, expected(b)), `length ${lengths[b]}`).toBeLessThan(1e-5);
        alone.push(row!);
      }
      for (const which of [[...lengths.keys()], [...lengths.keys()].reverse(), [3, 11, 0], [7, 6, 5, 4, 10, 8, 9, 2]]) {
        const found = await rows(which);
        for (const [i, b] of which.entries())
          if (backendName.startsWith('webgpu')) expect(found[i], `${which}: ${b}`).toEqual(alone[b]);
          else expect(relativeError(found[i]!, expected(b))).toBeLessThan(1e-5);
      }
      step.dispose();
    });
});
