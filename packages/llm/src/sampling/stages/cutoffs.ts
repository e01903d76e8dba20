import { exp, logSoftmax, max, sqrt, sum, type Tensor, where } from '@heddle/tensor';
import type { LogitStage } from './logit-stage.ts';
import { keepFrom, thresholds } from './truncation.ts';

/** Logarithms of probabilities, what these are, and the entropy of each row `[R, 1]`; what is out has probability 0. */
function distribution(logits: Tensor) {
  const surprise = logSoftmax(logits, -1).neg();
  const isIn = surprise.less(1e30);
  const probability = where(isIn, exp(surprise.neg()), 0);
  const entropy = sum(where(isIn, surprise, 0).mul(probability), -1, { keepDims: true });
  return { surprise, isIn, probability, entropy };
}

export const typical: LogitStage = {
  name: 'typical',
  parameters: { typicalP: 1 },
  record(logits, { parameters: { typicalP: mass } }) {
    const { surprise, isIn, probability, entropy } = distribution(logits);
    const nearness = where(isIn, where(isIn, surprise, 0).sub(entropy).abs().neg(), Number.NEGATIVE_INFINITY);
    return keepFrom(logits, nearness, thresholds(nearness, probability, where(mass!.less(1), mass!, 3e38)));
  },
};

/** Tokens less likely than `least` go, but never the most likely. */
function cut(logits: Tensor, probability: Tensor, least: Tensor): Tensor {
  return keepFrom(logits, probability, least.minimum(max(probability, -1, { keepDims: true })));
}

export const epsilonCutoff: LogitStage = {
  name: 'epsilon cut-off',
  parameters: { epsilonCutoff: 0 },
  record: (logits, { parameters: { epsilonCutoff: epsilon } }) =>
    cut(logits, distribution(logits).probability, epsilon!),
};

export const etaCutoff: LogitStage = {
  name: 'eta cut-off',
  parameters: { etaCutoff: 0 },
  record(logits, { parameters: { etaCutoff: epsilon } }) {
    const { probability, entropy } = distribution(logits);
    return cut(logits, probability, epsilon!.minimum(sqrt(epsilon!).mul(exp(entropy.neg()))));
  },
};
