import { calledAs, checkArguments, checkOptions, type Tensor } from '@heddle/tensor';
import { denseRecurrence } from './recurrence/dense.ts';
import { packedRecurrence } from './recurrence/packed.ts';
import { checkStateView, type StateView } from './state-view.ts';

/** What a gated delta rule takes beside queries, keys and values. */
export interface DeltaRuleGates {
  /** `[..., H]`: logarithms of the factors that states decay by, 0 or less. */
  readonly logDecay: Tensor;
  /** `[..., H]`: how much of the difference a state takes in, from 0 to 1. */
  readonly beta: Tensor;
  /** Factor on the queries; by default 1 / sqrt(Dk). */
  readonly scale?: number;
  /** Divides queries and keys by their length first, as `x / sqrt(sum(x^2) + 1e-6)`. Default false. */
  readonly normalize?: boolean;
}

const gateKinds = {
  logDecay: 'tensor',
  beta: 'tensor',
  scale: 'finite?',
  normalize: 'boolean?',
} as const satisfies Readonly<Record<keyof DeltaRuleGates, string>>;

/** Rows of a chunk where nothing else is said. */
export const defaultChunk = 64;

/**
 * The gated delta rule, an attention of constant memory: each head has a state S `[Dk, Dv]`. In each row it decays, takes in the
 * difference of v to what it holds for k, and is asked for q:
 * `S = exp(logDecay) S; S = S + k (beta (v - k S)); out = q S`.
 *
 * @param q `[B, L, K, Dk]`, f32 or f16, as k
 * @param v `[B, L, H, Dv]`: K divides H, and H / K heads of values in a row share a head of queries and keys
 * @param options the gates; `state` `[B, H, Dk, Dv]` before the first row, by default zeros; `chunk`: whole sequences of a length that
 *   is fixed are computed so many rows at a time, by default 64
 * @returns `out` `[B, L, H, Dv]` in the dtype of v and the `state` after the last row, f32; differentiable where B and L are fixed.
 *   Computed in f32: chunks agree with rows one by one to 1e-4.
 * @throws ShapeError, DTypeError, ArgumentError
 * Source: https://arxiv.org/abs/2412.06464
 */
export function gatedDeltaRule(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: DeltaRuleGates & { readonly state?: Tensor | undefined; readonly chunk?: number },
): { readonly out: Tensor; readonly state: Tensor } {
  checkArguments('gatedDeltaRule', 'tensor', { q, k, v });
  checkOptions('gatedDeltaRule', options, { ...gateKinds, state: 'tensor?', chunk: 'size?' });
  return calledAs('gatedDeltaRule', () => {
    const { state, chunk = defaultChunk } = options;
    const inputs = { ...prepared(q, k, v, options), state: state?.cast('f32') };
    const result = denseRecurrence(inputs, { rule: 'delta', chunk });
    return { out: result.out.cast(v.dtype), state: result.state };
  });
}

/**
 * The gated delta rule over packed rows of several sequences, q and k `[T, K, Dk]`, v `[T, H, Dv]`, one row after the other: for steps
 * over a cache. A row depends on nothing but its own sequence, whatever others hold; rows of no sequence give 0.
 *
 * @param options the gates; `segments` i32 `[T]`: which of the B sequences a row belongs to, negative for none (rows of one sequence
 *   follow each other in order); `states`: what a cache holds of them, by default nothing
 * @returns `out` `[T, H, Dv]` in the dtype of v; with `states` also the states after rows `at`, f32 `[W, H, Dk, Dv]`
 * @throws ShapeError, DTypeError
 */
export function packedGatedDeltaRule(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: DeltaRuleGates & { readonly segments: Tensor; readonly states?: StateView | undefined },
): { readonly out: Tensor; readonly states: Tensor | undefined } {
  checkArguments('packedGatedDeltaRule', 'tensor', { q, k, v });
  checkOptions('packedGatedDeltaRule', options, { ...gateKinds, segments: 'tensor', states: 'object?' });
  checkStateView('packedGatedDeltaRule', options.states);
  return calledAs('packedGatedDeltaRule', () => {
    const { segments, states } = options;
    const inputs = { ...prepared(q, k, v, options), segments, ...states };
    const result = packedRecurrence(inputs, { rule: 'delta', chunk: defaultChunk });
    return { out: result.out.cast(v.dtype), states: result.states };
  });
}

function prepared(q: Tensor, k: Tensor, v: Tensor, { logDecay, beta, scale, normalize = false }: DeltaRuleGates) {
  const unit = (x: Tensor) => (normalize ? x.div(x.square().sum(-1, { keepDims: true }).add(1e-6).sqrt()) : x);
  const factor = scale ?? 1 / Math.sqrt(Number(q.shape.at(-1)));
  return {
    q: unit(q.cast('f32')).mul(factor),
    k: unit(k.cast('f32')),
    v: v.cast('f32'),
    decay: logDecay.cast('f32'),
    beta: beta.cast('f32'),
  };
}
