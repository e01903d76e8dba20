import { ArgumentError } from '@heddle/tensor';
import { keepFrom, type LogitFilter, softmaxWeights, thresholdOf } from './filters.ts';

/**
 * Keeps the tokens whose surprise is nearest to the one that is expected, as many as make up this probability (locally typical
 * sampling, https://arxiv.org/abs/2202.00666); equally near ones together.
 *
 * @param mass Above 0; 1 keeps all.
 * @throws ArgumentError
 */
export function typical(mass: number): LogitFilter {
  if (!(mass > 0 && mass <= 1)) fail('typical', 'typicalP must be above 0, at most 1', mass);
  return {
    name: `typical ${mass}`,
    apply(logits) {
      if (mass === 1) return;
      const { weights, total } = softmaxWeights(logits);
      const surprise = (weight: number) => Math.log(total) - Math.log(weight);
      const expected = expectedSurprise(weights, total);
      const nearness = weights.map((weight) =>
        weight === 0 ? Number.NEGATIVE_INFINITY : -Math.abs(surprise(weight) - expected),
      );
      keepFrom(logits, nearness, thresholdOf(nearness, weights, mass * total));
    },
  };
}

/**
 * Takes out tokens less likely than `epsilon`, but never the most likely ones (https://arxiv.org/abs/2210.15191).
 *
 * @param epsilon From 0 (none) to below 1.
 * @throws ArgumentError
 */
export function epsilonCutoff(epsilon: number): LogitFilter {
  if (!(Number.isFinite(epsilon) && epsilon >= 0 && epsilon < 1))
    fail('epsilonCutoff', 'epsilonCutoff must be from 0 to below 1', epsilon);
  return {
    name: `epsilon cut-off ${epsilon}`,
    apply(logits) {
      const { weights, total } = softmaxWeights(logits);
      keepFrom(logits, weights, Math.min(epsilon * total, 1));
    },
  };
}

/**
 * Takes out tokens less likely than `epsilon`, or where the distribution is flat than a threshold that falls with its entropy, but
 * never the most likely ones (eta sampling, https://arxiv.org/abs/2210.15191).
 *
 * @param epsilon From 0 (none) to below 1.
 * @throws ArgumentError
 */
export function etaCutoff(epsilon: number): LogitFilter {
  if (!(Number.isFinite(epsilon) && epsilon >= 0 && epsilon < 1))
    fail('etaCutoff', 'etaCutoff must be from 0 to below 1', epsilon);
  return {
    name: `eta cut-off ${epsilon}`,
    apply(logits) {
      const { weights, total } = softmaxWeights(logits);
      const eta = Math.min(epsilon, Math.sqrt(epsilon) * Math.exp(-expectedSurprise(weights, total)));
      keepFrom(logits, weights, Math.min(eta * total, 1));
    },
  };
}

/** The entropy of the distribution with these weights, in nats. */
function expectedSurprise(weights: Float64Array, total: number): number {
  let sum = 0;
  for (const weight of weights) if (weight > 0) sum += weight * (Math.log(total) - Math.log(weight));
  return sum / total;
}

function fail(operation: string, rule: string, got: number): never {
  throw new ArgumentError(`${operation}: ${rule}, got ${String(got)}`);
}
