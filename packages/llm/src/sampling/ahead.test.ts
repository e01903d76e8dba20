import type { Device, Tensor } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { accepted, countedAhead, countOfLane, draftsBefore, historyAhead } from './ahead.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const [V, C, K] = [5, 9, 3];

/** Sequences with what was generated of each before this step, its drafts, and what each of its rows chooses. */
const sequence = fc.record({
  past: fc.array(fc.nat(V - 1), { maxLength: 4 }),
  drafts: fc.array(fc.nat(V - 1), { maxLength: K }),
  chosen: fc.array(
    fc.oneof({ weight: 3, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary: fc.nat(V - 1) }),
    {
      minLength: K + 1,
      maxLength: K + 1,
    },
  ),
});

const i32 = (rows: readonly (readonly number[])[], width: number) =>
  device.tensor(Int32Array.from(rows.flat()), { shape: [rows.length, width] });
const list = async (tensor: Tensor) => [...(await tensor.cast('i32').data())];

test('rows behind drafts see those drafts, and count where all of them were chosen', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(sequence, { minLength: 1, maxLength: 4 }), async (sequences) => {
      // a row behind each draft, and one before the first; it chooses what comes next in truth, or something else
      const rows = sequences.flatMap(({ past, drafts, chosen }, lane) =>
        Array.from({ length: drafts.length + 1 }, (_, before) => ({
          lane,
          past,
          ahead: drafts.slice(0, before),
          chosen: chosen[before] ?? drafts[before] ?? 0,
          counts: drafts.slice(0, before).every((draft, k) => (chosen[k] ?? draft) === draft),
        })),
      );
      const ahead = i32(
        rows.map((row) => Array.from({ length: K }, (_, k) => row.ahead[k] ?? -1)),
        K,
      );
      const tokens = device.tensor(Int32Array.from(rows, ({ chosen }) => chosen));
      const lanes = device.tensor(Int32Array.from(rows, ({ lane }) => lane));
      expect(await list(draftsBefore(ahead))).toEqual(rows.map((row) => row.ahead.length));

      const times = (of: readonly number[], id: number) => of.filter((one) => one === id).length;
      const counts = rows.map(({ past }) =>
        Array.from({ length: V }, (_, id) => 2 * times(past, id) + (id === 1 ? 1 : 0)),
      );
      expect(await list(countedAhead(i32(counts, V), ahead))).toEqual(
        rows.flatMap((row, r) => counts[r]!.map((count, id) => count + 2 * times(row.ahead, id))),
      );

      const history = rows.map(({ past }) => Array.from({ length: C }, (_, i) => past[i] ?? 99));
      const lengths = i32(
        rows.map(({ past }) => [past.length]),
        1,
      );
      expect(await list(historyAhead(i32(history, C), lengths, ahead))).toEqual(
        rows.flatMap((row) => {
          const all = [...row.past, ...row.ahead];
          return Array.from({ length: C }, (_, i) => all[i] ?? 99);
        }),
      );

      const counting = accepted(tokens, ahead);
      expect(await list(counting)).toEqual(rows.map((row) => Number(row.counts)));
      const ofLane = (row: (typeof rows)[number]) => rows.filter((other) => other.lane === row.lane && other.counts);
      expect(await list(countOfLane(lanes, counting))).toEqual(rows.map((row) => ofLane(row).length));
      expect(await list(countOfLane(lanes, counting, tokens))).toEqual(
        rows.map((row) => ofLane(row).filter((other) => other.chosen === row.chosen).length),
      );
    }),
    runs(40),
  );
});
