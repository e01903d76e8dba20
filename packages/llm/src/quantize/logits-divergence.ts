import { ArgumentError, checkArguments } from '@heddle/tensor';
import type { CausalLm } from '../models/causal-lm.ts';

/** How far the predictions of one model are from those of another. */
export interface Divergence {
  /** Mean over positions of KL(reference || model), in nats: 0 where both predict the same. */
  readonly kl: number;
  /** Share of positions at which both find the same token most likely. */
  readonly sameTop: number;
  readonly positions: number;
}

/**
 * Compares the predictions of two models of one vocabulary at every position of rows of tokens, one row at a time.
 * @throws ArgumentError for models of different vocabularies, no tokens, or ids beyond the vocabulary
 */
export async function divergence(
  reference: CausalLm,
  model: CausalLm,
  rows: readonly (readonly number[])[],
): Promise<Divergence> {
  checkArguments('divergence', 'object', { reference, model });
  checkArguments('divergence', 'object', { 'reference.config': reference.config, 'model.config': model.config });
  checkArguments('divergence', 'list', { rows });
  const V = reference.config.vocabularySize;
  if (model.config.vocabularySize !== V)
    throw new ArgumentError(`divergence: both need one vocabulary, got ${V} and ${model.config.vocabularySize} tokens`);
  if (rows.length === 0 || rows.some((row) => row.length === 0)) throw new ArgumentError('divergence: needs tokens');
  let [kl, same, positions] = [0, 0, 0];
  for (const row of rows) {
    const [ours, theirs] = [await logitsOf(model, row), await logitsOf(reference, row)];
    for (let at = 0; at < row.length; at++) {
      const [p, q] = [theirs.subarray(at * V, (at + 1) * V), ours.subarray(at * V, (at + 1) * V)];
      kl += divergenceOf(p, q);
      same += argmax(p) === argmax(q) ? 1 : 0;
      positions++;
    }
  }
  return { kl: kl / positions, sameTop: same / positions, positions };
}

async function logitsOf(model: CausalLm, row: readonly number[]): Promise<Float32Array> {
  const logits = await model.logits([row]);
  try {
    return (await logits.data()) as Float32Array;
  } finally {
    logits.dispose();
  }
}

/** KL of the distributions of two rows of logits. */
function divergenceOf(p: Float32Array, q: Float32Array): number {
  const [ofP, ofQ] = [logSum(p), logSum(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const [a, b] = [p[i]! - ofP, q[i]! - ofQ];
    sum += Math.exp(a) * (a - b);
  }
  return Math.max(0, sum);
}

function logSum(logits: Float32Array): number {
  const most = logits.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  return most + Math.log(logits.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
}

const argmax = (values: Float32Array): number =>
  values.reduce((best, value, i) => (value > values[best]! ? i : best), 0);
