import {
  cast,
  type Dim,
  matmul,
  maximum,
  minimum,
  reshape,
  sigmoid,
  softmax,
  sum,
  type Tensor,
  takeAlongAxis,
  topK,
  where,
} from '@heddle/tensor';
import type { ExpertMatrixLayout, ExpertsLayout } from './layout.ts';
import { activations, type Pass } from './pass.ts';

/** A mixture of experts: f32 `[..., E]` to f32 `[..., E]`. Every expert computes every row, of which the weights then choose. */
export function expertsLayer(pass: Pass, layout: ExpertsLayout, x: Tensor): Tensor {
  const { gate, up, down, router, hidden } = { ...layout, hidden: x.shape.at(-1)! };
  const rows = x.shape.slice(0, -1);
  const flat = x.rank === 2 ? x : x.reshape([rows.reduce<Dim>((a, b) => (a as number) * (b as number), 1), hidden]);
  const shares = routed(layout, pass.linear(router, flat));
  const inner = gated(layout, apply(pass, gate, flat), apply(pass, up, flat));
  const each = apply(pass, down, inner);
  const all = sum(each.mul(reshape(shares.transpose(), [layout.count, flat.shape[0]!, 1])), 0);
  return x.rank === 2 ? all : all.reshape(x.shape);
}

/** The weight of each expert for each row, `[T, experts]`: 0 where it was not chosen. */
function routed({ count, perToken, normalize }: ExpertsLayout, logits: Tensor): Tensor {
  const scores = softmax(logits);
  const { indices } = topK(logits, perToken);
  const chosen = takeAlongAxis(scores, indices, 1);
  const weights = normalize ? chosen.div(sum(chosen, -1, { keepDims: true })) : chosen;
  const place = logits.device.arange(count).reshape([1, 1, count]);
  const T = logits.shape[0]!;
  return sum(where(indices.reshape([T, perToken, 1]).equal(place), weights.reshape([T, perToken, 1]), 0), 1);
}

/** `[T, in]` or `[experts, T, in]` to f32 `[experts, T, out]`. */
function apply(pass: Pass, { site, outSize, bias }: ExpertMatrixLayout, x: Tensor): Tensor {
  const weight = pass.weights.get(`${site}.weight`);
  const y = matmul(cast(x, pass.activations), weight, { transposeB: true, dtype: 'f32' });
  return bias ? y.add(pass.weights.get(`${site}.bias`).reshape([weight.shape[0]!, 1, outSize])) : y;
}

function gated({ activation }: ExpertsLayout, gate: Tensor, up: Tensor): Tensor {
  if (typeof activation === 'string') return activations[activation](gate).mul(up);
  const { limit, alpha } = activation;
  const below = minimum(gate, limit);
  const within = minimum(maximum(up, -limit), limit);
  return within.add(1).mul(below.mul(sigmoid(below.mul(alpha))));
}
