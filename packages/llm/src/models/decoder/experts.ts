import {
  cast,
  clampedGate,
  type ExpertWeights,
  type GateFunction,
  multiplyDims,
  routedExperts,
  routeTokens,
  type Tensor,
} from '@heddle/tensor';
import type { ExpertsLayout } from './layout.ts';
import { activations, type Pass } from './pass.ts';

/** A mixture of experts: f32 `[..., E]` to f32 `[..., E]`. */
export function expertsLayer(pass: Pass, layout: ExpertsLayout, x: Tensor): Tensor {
  const { router, perToken, normalize } = layout;
  const rows = x.shape.slice(0, -1);
  const flat = x.reshape([rows.reduce((product, dim) => multiplyDims(product, dim), 1), x.shape.at(-1)!]);
  const routing = routeTokens(pass.linear(router, flat), { count: perToken, normalize });
  const input = cast(flat, pass.activations);
  return routedExperts(input, routing, weightsOf(pass, layout), gateOf(layout)).reshape(x.shape);
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
