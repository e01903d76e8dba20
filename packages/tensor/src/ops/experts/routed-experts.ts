import { calledAs } from '../../checks/called-as.ts';
import { checkArguments } from '../../checks/check-arguments.ts';
import { checkOptions } from '../../checks/check-options.ts';
import { ShapeError } from '../../checks/errors.ts';
import type { Tensor } from '../../graph/tensor.ts';
import { formatShape } from '../../shape.ts';
import { silu } from '../elementwise/activation.ts';
import { add, maximum, minimum, mul, sigmoid } from '../elementwise/elementwise.ts';
import { take } from '../indexing/gather.ts';
import { reshape } from '../movement/movement.ts';
import { sum } from '../reduce/reduce.ts';
import { expertMatmul } from './expert-matmul.ts';
import type { Routing } from './routing.ts';

/** Gated feed-forward networks of N experts, as matrices `[out, in]` of linear layers in one tensor each. */
export interface ExpertWeights {
  /** `[N, F, E]` */
  readonly gate: Tensor;
  /** `[N, F, E]` */
  readonly up: Tensor;
  /** `[N, E, F]` */
  readonly down: Tensor;
  /** `[N, F]` */
  readonly gateBias?: Tensor | undefined;
  /** `[N, F]` */
  readonly upBias?: Tensor | undefined;
  /** `[N, E]` */
  readonly downBias?: Tensor | undefined;
}

/** What becomes of a gate and what it gates. */
export type GateFunction = (gate: Tensor, up: Tensor) => Tensor;

/**
 * The gate of gpt-oss: `(up + 1) gate sigmoid(alpha gate)`, both clamped first.
 * @throws ArgumentError where options are no object
 */
export function clampedGate(options: { readonly limit?: number; readonly alpha?: number } = {}): GateFunction {
  checkOptions('clampedGate', options, { limit: 'number?', alpha: 'number?' });
  const { limit = 7, alpha = 1.702 } = options;
  return (gate, up) => {
    const below = minimum(gate, limit);
    const within = minimum(maximum(up, -limit), limit);
    return mul(add(within, 1), mul(below, sigmoid(mul(below, alpha))));
  };
}

/**
 * A mixture of experts: of each row the sum over its experts of weight times `down(gate function(gate(x), up(x)))`.
 *
 * @param x f32 or f16 `[T, E]`
 * @param routing of `routeTokens`
 * @param weights of all experts, f32, f16 or storage-only
 * @param gateFunction by default `silu(gate) up`
 * @returns f32 `[T, E]`. A row that is not finite changes no other one, and an expert that no row has may hold anything.
 * @throws ShapeError, DTypeError
 */
export function routedExperts(
  x: Tensor,
  routing: Routing,
  weights: ExpertWeights,
  gateFunction: GateFunction = (gate, up) => mul(silu(gate), up),
): Tensor {
  return calledAs('routedExperts', () => {
    checkArguments('routedExperts', 'tensor', { x });
    checkOptions('routedExperts', routing, { experts: 'tensor', weights: 'tensor' });
    checkOptions('routedExperts', weights, {
      gate: 'tensor',
      up: 'tensor',
      down: 'tensor',
      gateBias: 'tensor?',
      upBias: 'tensor?',
      downBias: 'tensor?',
    });
    checkArguments('routedExperts', 'function', { gateFunction });
    const { experts, weights: shares } = routing;
    if (x.rank !== 2) throw new ShapeError(`routedExperts: x must be [T, E], got ${formatShape(x.shape)}`);
    const biased = (y: Tensor, bias: Tensor | undefined) => (bias ? add(y, take(bias, experts)) : y);
    const gate = biased(expertMatmul(x, weights.gate, experts), weights.gateBias);
    const up = biased(expertMatmul(x, weights.up, experts), weights.upBias);
    const inner = gateFunction(gate, up);
    const out = biased(expertMatmul(inner, weights.down, experts), weights.downBias);
    return sum(mul(out, reshape(shares, [...experts.shape, 1])), 1);
  });
}
