import { flash } from '@heddle/attention';
import { compile, type Tensor } from '@heddle/tensor';
import fc from 'fast-check';
import { expect } from 'vitest';
import { runs } from '../../../test-support/properties.ts';
import { backendName, conformance, leaveToNode, test } from '../../../test-support/suite.ts';
import { type KvCache, type KvSequence, keyValueShape, openSequence, pagedCache } from './index.ts';

const shape = keyValueShape({ layers: 1, heads: 1, headDim: 4, dtype: 'f32' });
const bad = [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 3e38];

/** Sequences 0 and 1 are sound, 2 is not. */
const operation = fc.record({
  kind: fc.constantFrom('step', 'step', 'step', 'truncate', 'again', 'fork'),
  counts: fc.tuple(fc.nat(3), fc.nat(3), fc.nat(3)),
  which: fc.nat(2),
});

type Inputs = Record<'x' | 'positions' | 'segments', Tensor> & { readonly cache: Readonly<Record<string, Tensor>> };

conformance('NaN and infinities in some sequences of a cache', (device) => {
  /** A cache with the step that writes rows and attends to them. */
  const open = () => {
    const cache = pagedCache(device(), { shape, maxSequences: 4, maxSequenceTokens: 12, blockSize: 4, tokens: 40 });
    const rows = { shape: ['T'], dtype: 'i32' } as const;
    const step = compile(
      ({ x, positions, segments, cache: inputs }: Inputs) => {
        const kv = cache.bind(inputs);
        const out = flash().attend(x, x, x, kv.layer(0), { positions, segments });
        return { out, updates: kv.write(0, { keys: x, values: x }) };
      },
      {
        device: device(),
        inputs: [{ x: { shape: ['T', 1, 4] }, positions: rows, segments: rows, cache: cache.inputs }],
        symbols: { ...cache.symbols, T: 16 },
      },
    );
    return { cache, step };
  };

  /** What the sound sequences got, step by step, with a third whose rows are `value`. */
  async function walk(
    { cache, step }: ReturnType<typeof open>,
    operations: readonly { kind: string; counts: readonly number[]; which: number }[],
    value: number | undefined,
  ): Promise<number[][]> {
    let opened = 0;
    const start = (kept: KvCache): KvSequence => openSequence(kept, `s${opened++}`);
    const sequences = [start(cache), start(cache), start(cache)];
    const got: number[][] = [];
    for (const { kind, counts, which } of operations) {
      const one = sequences[which]!;
      if (kind === 'truncate') one.truncate(Math.min(one.length, counts[0]! * 2));
      else if (kind === 'again') {
        one.dispose();
        sequences[which] = start(cache);
      } else if (kind === 'fork') {
        // a sound one from a sound one, or the other from itself
        const copy = sequences[which === 2 ? 2 : 1 - which]!.fork(`s${opened++}`);
        if (typeof copy === 'string') continue;
        one.dispose();
        sequences[which] = copy;
      } else {
        const rows = sequences
          .map((sequence, b) => ({ sequence, b, tokens: Math.min(counts[b]!, 12 - sequence.length) }))
          .filter(({ sequence, tokens }) => tokens > 0 && sequence.reserve(tokens));
        if (rows.length === 0) continue;
        const batch = cache.batch(rows);
        const x = Array.from(batch.segments, (segment) => rows[segment]!.b).map((b, row) =>
          b === 2 && value !== undefined ? value : Math.sin(7 * b + batch.positions[row]!),
        );
        const data = Float32Array.from({ length: x.length * 4 }, (_, i) => x[i >> 2]! * (1 + (i & 3)));
        const { positions, segments, inputs, sizes } = batch;
        const fed = { x: { data, shape: [x.length, 1, 4] }, positions, segments, cache: inputs };
        const { out } = await step.run([fed], { symbols: sizes });
        batch.advance();
        const values = (await out.data()) as Float32Array;
        got.push(
          Array.from(segments).flatMap((s, row) => (rows[s]!.b < 2 ? [...values.slice(4 * row, 4 * row + 4)] : [])),
        );
      }
    }
    for (const sequence of sequences) sequence.dispose();
    cache.checkIntegrity();
    return got;
  }

  test('change nothing of the others, whatever is forked, truncated and used again', async (context) => {
    leaveToNode(context);
    const [clean, dirty] = [open(), open()];
    await fc.assert(
      fc.asyncProperty(
        fc.array(operation, { minLength: 3, maxLength: 20 }),
        fc.constantFrom(...bad),
        async (operations, value) => {
          const expected = await walk(clean, operations, undefined);
          expect(expected.flat().every(Number.isFinite)).toBe(true);
          expect(await walk(dirty, operations, value)).toEqual(expected);
        },
      ),
      runs(backendName.startsWith('webgpu') ? 5 : 20, 8),
    );
    for (const { cache, step } of [clean, dirty]) {
      step.dispose();
      cache.dispose();
    }
  }, 120_000);
});
