import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { NgramIndex } from '../speculation/ngram-index.ts';
import { Pace } from '../speculation/pace.ts';
import { StepCosts } from '../speculation/step-costs.ts';
import { StopStrings } from '../text/stop-strings.ts';
import { badWords, logitBias } from './biases.ts';
import { epsilonCutoff, etaCutoff, typical } from './cutoffs.ts';
import { drawToken } from './draw.ts';
import { type LogitFilter, minP, temperature, topK, topP } from './filters.ts';
import { logprobsOnHost } from './logprobs.ts';
import { noRepeatNgram, occurrencePenalty, repetitionPenalty } from './repetition.ts';

/** Whole numbers below a bound, the same for the same seed. */
function drawing(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state ^ (state >>> 15), 0x2c1b3c6d) + 0x6d2b79f5) | 0;
    return ((state ^ (state >>> 13)) >>> 0) % below;
  };
}

const filters: readonly LogitFilter[] = [
  ...[0.01, 0.7, 1, 3].map(temperature),
  ...[1, 5, 40, 41].map(topK),
  ...[0, 0.3, 0.9, 0.999, 1].map(topP),
  ...[0, 0.05, 0.5, 1].map(minP),
  ...[0.1, 0.6, 0.95, 1].map(typical),
  ...[0, 0.01, 0.2, 0.99].map(epsilonCutoff),
  ...[0, 0.001, 0.1, 0.9].map(etaCutoff),
  ...[0.5, 1, 1.7].map(repetitionPenalty),
  ...[1, 2, 3].map(noRepeatNgram),
  ...(
    [
      [0.5, 0],
      [0, 0.3],
      [-1, 0.2],
    ] as const
  ).map(([presence, frequency]) => occurrencePenalty(presence, frequency)),
  logitBias(
    new Map([
      [0, -2],
      [3, Number.NEGATIVE_INFINITY],
      [39, 5],
      [99, 1],
    ]),
  ),
  badWords([[4], [1, 2], [0, 1, 2], [1, 99]]),
];

/** Logits with equal ones, gaps and zeros among them. */
function logitsOf(seed: number): Float32Array {
  const below = drawing(seed);
  return Float32Array.from({ length: 40 }, () => {
    const kind = below(12);
    if (kind === 0) return Number.NEGATIVE_INFINITY;
    return kind < 3 ? [0, -0, 1.5][below(3)]! : (below(4000) - 2600) / 400;
  });
}

const rows = (logits: Float32Array) =>
  Array.from(logits, (logit) => (Number.isFinite(logit) ? logit.toPrecision(5) : '-')).join(' ');

describe('the same logits, tokens and times', () => {
  // what is meant to change is written anew by `npx vitest run -u`
  it('are filtered, drawn, guessed from and stopped at as before', async () => {
    const lines: string[] = [];
    const tokens = [1, 2, 0, 1, 2, 7, 39, 7, 0, 1];
    for (const filter of filters) {
      const hash = createHash('sha256');
      const kept = Array.from({ length: 6 }, (_, seed) => {
        const logits = logitsOf(seed + 1);
        filter.apply(logits, tokens.slice(0, 10 - (seed % 2)), 4);
        hash.update(rows(logits));
        return logits.filter((logit) => logit > Number.NEGATIVE_INFINITY).length;
      });
      lines.push(`${filter.name}: ${kept.join(' ')} left, ${hash.digest('hex').slice(0, 12)}`);
    }
    for (const seed of [0, 1, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 5])
      for (const sequence of [0, 1, 77]) {
        const drawn = Array.from({ length: 12 }, (_, step) => drawToken(logitsOf(3), { seed, sequence, step }));
        lines.push(`drawn with ${seed}, ${sequence}: ${drawn.join(' ')}`);
      }
    for (const seed of [1, 2]) {
      const { logprob, top } = logprobsOnHost(logitsOf(seed), 5, 4);
      lines.push(`${logprob.toFixed(4)}, top ${top.map((one) => `${one.token} ${one.logprob.toFixed(4)}`).join(', ')}`);
    }
    for (const [size, longest] of [
      [1, 3],
      [2, 2],
      [2, 6],
      [3, 16],
    ] as const) {
      const below = drawing(size);
      const index = new NgramIndex(size, longest);
      const text = Array.from({ length: 60 }, () => below(3));
      const guesses = Array.from({ length: 60 }, (_, end) => index.continuation(text.slice(0, end + 1), 3).join(''));
      lines.push(`runs of ${size} to ${longest}: ${guesses.join(' ')}`);
    }
    for (const right of [0, 1, 3, 9]) {
      const costs = new StepCosts();
      const pace = new Pace(6, costs);
      const below = drawing(right + 5);
      const lengths = Array.from({ length: 120 }, () => {
        const { length } = pace;
        if (length === 0 || costs.unknown) {
          if (pace.verifies) costs.refilled(14);
          else costs.plain(10 + below(3));
          pace.passed(1);
          return length === 0 ? '-' : '.';
        }
        costs.verified(length, 12 + 2 * length + below(3));
        pace.verified(length, Math.min(length, right, below(5) === 0 ? 0 : length));
        return length;
      });
      lines.push(
        `pace with ${right} right: ${lengths.join('')}, ${costs.cost(2)?.toFixed(4)} ${costs.refill.toFixed(4)}`,
      );
    }
    for (const stops of [['ab', 'abc', 'b'], ['aab', 'bab'], ['cc']]) {
      const below = drawing(9);
      const strings = new StopStrings(stops);
      const passed = Array.from({ length: 25 }, () => {
        const { text, stop } = strings.push(Array.from({ length: below(4) }, () => 'abc'[below(3)]).join(''));
        return stop === undefined ? text : `${text}(${stop})`;
      });
      lines.push(`stopped at ${stops.join(' ')}: ${passed.join('|')}|${strings.finish()}`);
    }
    await expect(`${lines.join('\n')}\n`).toMatchFileSnapshot('recorded-draws.txt');
  });
});
