import { expect, test } from 'vitest';
import { logprobsOfRow, logprobsOnHost } from './logprobs.ts';

test('a row has its own tokens and log-probabilities, as many as were asked for and are there', () => {
  const rows = {
    chosen: [-1, -2, -3],
    topTokens: [1, 2, 3, 4, 5, 6],
    top: [-0.1, -0.2, -0.3, -0.4, -0.5, -0.6],
  };
  expect(logprobsOfRow(rows, 1, 9, 1)).toEqual({ token: 9, logprob: -2, top: [{ token: 3, logprob: -0.3 }] });
  const both = [
    { token: 5, logprob: -0.5 },
    { token: 6, logprob: -0.6 },
  ];
  expect(logprobsOfRow(rows, 2, 5, 20)).toEqual({ token: 5, logprob: -3, top: both });
  expect(logprobsOfRow(rows, 0, 5, 0).top).toEqual([]);
});

test('those on the host are natural logarithms of the softmax, whatever is added to all logits', () => {
  const logits = Float32Array.from([1, 3, 2], (x) => Math.log(x) + 80);
  const { token, logprob, top } = logprobsOnHost(logits, 0, 2);
  expect([token, ...top.map((each) => each.token)]).toEqual([0, 1, 2]);
  for (const [got, share] of [logprob, ...top.map((each) => each.logprob)].map((got, i) => [got, [1, 3, 2][i]! / 6]))
    expect(Math.exp(got!)).toBeCloseTo(share!, 5);
});
