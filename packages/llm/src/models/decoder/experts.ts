import {
  cast,
  clampedGate,
  type Dim,
  type ExpertWeights,
  type GateFunction,
  multiplyDims,
  routedExperts,
  routeTokens,
  sigmoid,
  type Tensor,
} from '@heddle/tensor';
import type { ExpertsLayout, GatedLayout } from './layout.ts';
import { activations, type Pass } from './pass.ts';

/**
 * A mixture of experts, and what is computed of every row beside it: f32 `[..., E]` to f32 `[..., E]`.
 * @param gated computes a feed-forward without experts
 */
export function expertsLayer(
  pass: Pass,
  layout: ExpertsLayout,
  x: Tensor,
  gated: (layout: GatedLayout, x: Tensor) => Tensor,
): Tensor {
  const { router, perToken, normalize, scores, correction, groups, scale, shared } = layout;
  const flat = x.reshape([x.shape.slice(0, -1).reduce<Dim>(multiplyDims, 1), x.shape.at(-1)!]);
  const routing = routeTokens(pass.linear(router, flat), {
    count: perToken,
    normalize,
    ...(scores !== undefined && { scores }),
    ...(correction !== undefined && { correction: pass.weights.get(correction) }),
    ...(groups && { groups }),
    ...(scale !== undefined && { scale }),
  });
  const input = cast(flat, pass.activations);
  const chosen = routedExperts(input, routing, weightsOf(pass, layout), gateOf(layout)).reshape(x.shape);
  if (!shared) return chosen;
  const own = gated(shared.part, x);
  return chosen.add(shared.gate ? own.mul(sigmoid(pass.linear(shared.gate, x))) : own);
}

function weightsOf({ weights }: Pass, { gate, up, down }: ExpertsLayout): ExpertWeights {
  const [gateBias, upBias, downBias] = [gate, up, down].map(({ site }) => weights.optional(`${site}.bias`));
  return {
    gate: weights.get(`${gate.site}.weight`),
    up: weights.get(`${up.site}.weight`),
    down: weights.get(`${down.site}.weight`),
    gateBias,
    upBias,
    downBias,
  };
}

function gateOf({ activation }: ExpertsLayout): GateFunction {
  if (typeof activation !== 'string') return clampedGate(activation);
  return (gate, up) => activations[activation](gate).mul(up);
}
