import {
  ArgumentError,
  calledAs,
  checkArguments,
  checkOptions,
  formatShape,
  logSoftmax,
  relu,
  ShapeError,
  softplus,
  type Tensor,
  takeAlongAxis,
  where,
} from '@heddle/tensor';

/**
 * Log-probabilities of sequences: sums over the targets that count. `logits` is `[B, L, V]`, `targets` i32 `[B, L]` with
 * `ignoreIndex` (-100 where not named) at places that do not count: prompts and padding. f32 `[B]`.
 * @throws ShapeError
 */
export function sequenceLogProbabilities(
  logits: Tensor,
  targets: Tensor,
  options: { readonly ignoreIndex?: number } = {},
): Tensor {
  checkArguments('sequenceLogProbabilities', 'tensor', { logits, targets });
  checkOptions('sequenceLogProbabilities', options, { ignoreIndex: 'integer?' });
  return calledAs('sequenceLogProbabilities', () => {
    const { ignoreIndex = -100 } = options;
    if (logits.rank !== 3 || targets.rank !== 2)
      throw new ShapeError(
        `sequenceLogProbabilities: takes logits [B, L, V] and targets [B, L], got ${formatShape(logits.shape)} and ${formatShape(targets.shape)}`,
      );
    const counts = targets.equal(ignoreIndex).not();
    const safe = where(counts, targets, 0).reshape([...targets.shape, 1]);
    const chosen = takeAlongAxis(logSoftmax(logits.cast('f32')), safe, -1).reshape(targets.shape);
    return where(counts, chosen, 0).sum(1);
  });
}

/** Log-probabilities of completions, f32 `[B]`: of the model that is trained, and of the one that it must stay near. */
export interface PreferenceLogProbabilities {
  readonly policyChosen: Tensor;
  readonly policyRejected: Tensor;
  readonly referenceChosen: Tensor;
  readonly referenceRejected: Tensor;
}

/** Options of `dpoLoss`. */
export interface DpoOptions {
  /** How near the policy must stay to the reference; 0.1 where not named. */
  readonly beta?: number;
  /** How often a preference is taken to be the wrong way round; 0 where not named, below 0.5. */
  readonly labelSmoothing?: number;
  /** 'sigmoid' is DPO's own, 'ipo' a squared distance (https://arxiv.org/abs/2310.12036), 'hinge' SLiC's; 'sigmoid' where not named. */
  readonly kind?: 'sigmoid' | 'ipo' | 'hinge';
}

/** What `dpoLoss` gives. */
export interface DpoResult {
  /** Mean over the pairs, a scalar. */
  readonly loss: Tensor;
  /** beta times how much likelier the policy makes a completion than the reference, `[B]`. */
  readonly chosenRewards: Tensor;
  readonly rejectedRewards: Tensor;
  /** The part of pairs whose chosen completion has the higher reward, a scalar. */
  readonly accuracy: Tensor;
}

/**
 * Direct preference optimization: makes chosen completions likelier than rejected ones, compared with a reference.
 * Source: https://arxiv.org/abs/2305.18290
 * @throws ArgumentError for options that make no sense
 */
export function dpoLoss(logProbabilities: PreferenceLogProbabilities, options: DpoOptions = {}): DpoResult {
  checkOptions('dpoLoss', logProbabilities, {
    policyChosen: 'tensor',
    policyRejected: 'tensor',
    referenceChosen: 'tensor',
    referenceRejected: 'tensor',
  });
  checkOptions('dpoLoss', options, { beta: 'number?', labelSmoothing: 'number?', kind: 'text?' });
  return calledAs('dpoLoss', () => {
    const { beta = 0.1, labelSmoothing = 0, kind = 'sigmoid' } = options;
    if (!(beta > 0 && Number.isFinite(beta)))
      throw new ArgumentError(`dpoLoss: beta must be positive, got ${String(beta)}`);
    if (!(labelSmoothing >= 0 && labelSmoothing < 0.5))
      throw new ArgumentError(`dpoLoss: labelSmoothing must be in [0, 0.5), got ${String(labelSmoothing)}`);
    const { policyChosen, policyRejected, referenceChosen, referenceRejected } = logProbabilities;
    const chosen = policyChosen.sub(referenceChosen);
    const rejected = policyRejected.sub(referenceRejected);
    const margin = chosen.sub(rejected);
    const losses = () => {
      if (kind === 'ipo') return margin.sub(1 / (2 * beta)).pow(2);
      if (kind === 'hinge') return relu(margin.mul(-beta).add(1));
      if (kind !== 'sigmoid')
        throw new ArgumentError(`dpoLoss: kind takes 'sigmoid', 'ipo' and 'hinge', got ${String(kind)}`);
      const right = softplus(margin.mul(-beta));
      if (labelSmoothing === 0) return right;
      return right.mul(1 - labelSmoothing).add(softplus(margin.mul(beta)).mul(labelSmoothing));
    };
    return {
      loss: losses().mean(),
      chosenRewards: chosen.mul(beta),
      rejectedRewards: rejected.mul(beta),
      accuracy: margin.greater(0).cast('f32').mean(),
    };
  });
}
