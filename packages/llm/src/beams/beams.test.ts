import { seededRandom } from '@heddle/batcher/load';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { type BeamRules, Beams } from './beams.ts';

const none = -1e9;

/** Log-probabilities of `V` tokens after a sequence: any numbers that depend on all of it. */
function logprobsAfter(tokens: readonly number[], seed: number, V: number): number[] {
  const random = seededRandom(tokens.reduce((hash, token) => (hash * 31 + token + 1) % 1_000_003, seed + 7));
  const weights = Array.from({ length: V }, () => Math.exp(4 * random()));
  const total = weights.reduce((a, b) => a + b);
  return weights.map((weight) => Math.log(weight / total));
}

interface Scored {
  readonly tokens: readonly number[];
  readonly score: number;
  readonly isFinished: boolean;
}
const best = <T extends { readonly score: number }>(all: readonly T[], count: number): T[] =>
  [...all].sort((a, b) => b.score - a.score).slice(0, count);

/** The search as tensors of fixed sizes do it, in which what is not there has the score of -1e9. */
function searched(rules: BeamRules, next: (tokens: readonly number[]) => readonly number[]) {
  const { beams, maxTokens, lengthPenalty, earlyStopping, stopTokens } = rules;
  const width = Math.max(2, 1 + stopTokens.size) * beams;
  let running = Array.from({ length: beams }, (_, i) => ({ tokens: [] as number[], score: i === 0 ? 0 : none }));
  let finished: Scored[] = Array.from({ length: beams }, () => ({ tokens: [], score: none, isFinished: false }));
  let mayImprove = true;
  for (let length = 0; ; ) {
    const all = running.flatMap(({ tokens, score }) =>
      next(tokens).map((logprob, token) => ({ tokens: [...tokens, token], score: score + logprob })),
    );
    const top = best(all, width).map((each) => ({
      ...each,
      ends: stopTokens.has(each.tokens.at(-1)!) || each.tokens.length >= maxTokens,
    }));
    running = best(
      top.map(({ tokens, score, ends }) => ({ tokens, score: ends ? score + none : score })),
      beams,
    );
    const isFull = earlyStopping === true && finished.every(({ isFinished }) => isFinished);
    const candidates = top.map(({ tokens, score, ends }, i) => {
      const isFinished = ends && i < beams;
      const barred = [isFull, !mayImprove, !isFinished].filter(Boolean).length;
      return { tokens, score: score / (length + 1) ** lengthPenalty + barred * none, isFinished };
    });
    finished = best([...finished, ...candidates], beams);
    length++;
    const hypothetical = earlyStopping === 'never' && lengthPenalty > 0 ? maxTokens : length;
    const worst = finished.every(({ isFinished }) => isFinished) ? finished.at(-1)!.score : none;
    mayImprove &&= running[0]!.score / hypothetical ** lengthPenalty > worst;
    const isOver = earlyStopping === true && finished.every(({ isFinished }) => isFinished);
    if (!mayImprove || isOver || top.every(({ ends }) => ends))
      return finished.filter(({ isFinished }) => isFinished).map(({ tokens, score }) => ({ tokens, score }));
  }
}

test('beams are those of a search over all continuations, with any length penalty, ends and early stopping', () => {
  const turns = { early: 0, whole: 0 };
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1e6 }),
      fc.constantFrom(1, 2, 4),
      fc.integer({ min: 1, max: 7 }),
      fc.constantFrom(1, 0, 0.5, 2, -1),
      fc.constantFrom(true, false, 'never' as const),
      fc.constantFrom([], [3], [3, 5, 6]),
      (seed, size, maxTokens, lengthPenalty, earlyStopping, stopTokens) => {
        const rules = { beams: size, maxTokens, lengthPenalty, earlyStopping, stopTokens: new Set(stopTokens) };
        const V = 20;
        const next = (tokens: readonly number[]) => logprobsAfter(tokens, seed, V);
        const beams = new Beams(rules);
        let length = 0;
        for (; !beams.done; length++)
          beams.advance(
            beams.running.map(({ tokens }) => {
              const continuations = next(tokens).map((logprob, token) => ({ token, logprob }));
              return continuations.sort((a, b) => b.logprob - a.logprob).slice(0, beams.width);
            }),
          );
        if (length < maxTokens) turns.early++;
        else turns.whole++;
        const right = searched(rules, next);
        expect(beams.finished.map(({ tokens }) => tokens)).toEqual(right.map(({ tokens }) => tokens));
        for (const [i, { score }] of beams.finished.entries()) expect(score).toBeCloseTo(right[i]!.score, 9);
      },
    ),
    runs(500),
  );
  for (const count of Object.values(turns)) expect(count).toBeGreaterThan(3);
});
