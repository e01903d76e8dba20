import { expect } from 'vitest';
import { conformance, test } from '../../../test-support/suite.ts';
import { contiguousCache } from './index.ts';

const sizes = { layers: 2, heads: 2, headDim: 4, dtype: 'f32', maxSequences: 3, maxSequenceTokens: 8 } as const;
const rowSize = sizes.heads * sizes.headDim;

conformance('contiguous cache', (device) => {
  const open = () => contiguousCache(device(), sizes);

  /** Writes `tokens` rows of `sequence` whose every value is `value` (keys) and `-value` (values), in every layer. */
  async function write(
    cache: ReturnType<typeof open>,
    rows: { sequence: NonNullable<ReturnType<typeof cache.sequence>>; value: number; tokens: number }[],
  ) {
    for (const { sequence, tokens } of rows) expect(sequence.reserve(tokens)).toBeDefined();
    const batch = cache.batch(rows);
    const [table, lengths, slots] = [
      device().tensor(batch.blockTable.data, { shape: batch.blockTable.shape }),
      device().tensor(batch.lengths),
      device().tensor(batch.slots),
    ];
    const step = cache.bind({ blockTable: table, lengths, slots, maxLength: batch.maxLength });
    const values = rows.flatMap(({ value, tokens }) => new Array<number>(tokens * rowSize).fill(value));
    const keys = device().tensor(values, { shape: [batch.slots.length, sizes.heads, sizes.headDim] });
    await device().realize([], [...step.write(0, keys, keys.neg()), ...step.write(1, keys.mul(2), keys.mul(-2))]);
    batch.advance();
    for (const tensor of [table, lengths, slots, keys]) tensor.dispose();
  }

  test('keeps the rows of each sequence apart, through a fork and a truncation', async () => {
    const before = device().memory().live;
    const cache = open();
    const [a, b] = [cache.sequence('a')!, cache.sequence('b')!];
    await write(cache, [
      { sequence: a, value: 1, tokens: 3 },
      { sequence: b, value: 2, tokens: 2 },
    ]);
    await write(cache, [
      { sequence: b, value: 3, tokens: 1 },
      { sequence: a, value: 4, tokens: 1 },
    ]);
    const fork = a.fork('c')!;
    a.truncate(1);
    await write(cache, [{ sequence: a, value: 9, tokens: 2 }]);
    const firsts = async (sequence: typeof a) => {
      const { keys, values } = await sequence.range(0, sequence.length);
      const pick = (rows: Float32Array | Uint16Array) => [...rows].filter((_, i) => i % rowSize === 0);
      return { keys: keys.map(pick), values: values.map(pick) };
    };
    expect(await firsts(a)).toEqual({
      keys: [
        [1, 9, 9],
        [2, 18, 18],
      ],
      values: [
        [-1, -9, -9],
        [-2, -18, -18],
      ],
    });
    expect(await firsts(b)).toEqual({
      keys: [
        [2, 2, 3],
        [4, 4, 6],
      ],
      values: [
        [-2, -2, -3],
        [-4, -4, -6],
      ],
    });
    expect((await firsts(fork)).keys).toEqual([
      [1, 1, 1, 4],
      [2, 2, 2, 8],
    ]);
    expect(cache.stats()).toMatchObject({ sequences: 3, tokens: 10, tokenCapacity: 24, blocksUsed: 3 });
    cache.checkIntegrity();
    cache.dispose();
    await device().trim();
    expect(device().memory().live).toBe(before);
  });
});
