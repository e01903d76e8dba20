import { clip, concat, exp, sigmoid, silu, softplus, type Tensor } from '@heddle/tensor';
import type { Pass } from './pass.ts';
import type { DeltaNetLayout, Mamba2Layout, RecurrentLayout, ShortConvolutionLayout } from './recurrent-layouts.ts';

/** A layer that goes on from what it kept of the rows before: f32 `[..., E]` to f32 `[..., E]`. */
export function recurrentLayer(pass: Pass, index: number, layout: RecurrentLayout, x: Tensor): Tensor {
  if (layout.kind === 'short-convolution') return shortConvolutionLayer(pass, index, layout, x);
  return layout.kind === 'delta-net' ? deltaNetLayer(pass, index, layout, x) : mamba2Layer(pass, index, layout, x);
}

function shortConvolutionLayer(
  pass: Pass,
  index: number,
  { inputs, convolution, output }: ShortConvolutionLayout,
  x: Tensor,
): Tensor {
  const size = convolution.channels;
  const all = pass.linear(inputs, x);
  const part = (i: number) => all.slice(-1, i * size, (i + 1) * size);
  const mixed = pass.recurrent.convolve(index, convolution, part(0).mul(part(2)));
  return pass.linear(output, part(1).mul(mixed));
}

function deltaNetLayer(pass: Pass, index: number, layout: DeltaNetLayout, x: Tensor): Tensor {
  const { keyHeads, valueHeads, keyDim, valueDim, norm, output } = layout;
  const lead = x.shape.slice(0, -1);
  const { qkv, z, b, a } = deltaInputs(pass, layout, x);
  const mixed = silu(pass.recurrent.convolve(index, layout.convolution, qkv));
  const keys = keyHeads * keyDim;
  const heads = (from: number, to: number, count: number, size: number) =>
    mixed.slice(-1, from, to).reshape([...lead, count, size]);
  const rates = exp(pass.weights.get(layout.logRates)).neg();
  const out = pass.recurrent.deltaRule(index, {
    q: heads(0, keys, keyHeads, keyDim),
    k: heads(keys, 2 * keys, keyHeads, keyDim),
    v: heads(2 * keys, 2 * keys + valueHeads * valueDim, valueHeads, valueDim),
    logDecay: softplus(a.add(pass.weights.get(layout.biases))).mul(rates),
    beta: sigmoid(b),
  });
  const gated = pass.norm(norm, out).mul(silu(z.reshape([...lead, valueHeads, valueDim])));
  return pass.linear(output, gated.reshape([...lead, valueHeads * valueDim]));
}

function deltaInputs(
  pass: Pass,
  { projections, keyHeads, valueHeads, keyDim, valueDim }: DeltaNetLayout,
  x: Tensor,
): { qkv: Tensor; z: Tensor; b: Tensor; a: Tensor } {
  const linear = (layout: { readonly site: string }) => pass.linear(layout, x);
  if ('qkv' in projections) {
    const { qkv, z, b, a } = projections;
    return { qkv: linear(qkv), z: linear(z), b: linear(b), a: linear(a) };
  }
  const lead = x.shape.slice(0, -1);
  const share = valueHeads / keyHeads;
  const parts = (y: Tensor, sizes: readonly number[]) => {
    const each = y.reshape([...lead, keyHeads, sizes.reduce((sum, size) => sum + size, 0)]);
    let start = 0;
    return sizes.map((size) => {
      const part = each.slice(-1, start, start + size).reshape([...lead, keyHeads * size]);
      start += size;
      return part;
    });
  };
  const [q, k, v, z] = parts(linear(projections.qkvz), [keyDim, keyDim, share * valueDim, share * valueDim]);
  const [b, a] = parts(linear(projections.ba), [share, share]);
  return { qkv: concat([q!, k!, v!], -1), z: z!, b: b!, a: a! };
}

function mamba2Layer(pass: Pass, index: number, layout: Mamba2Layout, x: Tensor): Tensor {
  const { heads, headDim, groups, stateSize, convolution, stepLimits, norm, output } = layout;
  const lead = x.shape.slice(0, -1);
  const [inner, shared] = [heads * headDim, groups * stateSize];
  const all = pass.linear(layout.input, x);
  const z = all.slice(-1, 0, inner);
  const steps = softplus(all.slice(-1, inner + convolution.channels).add(pass.weights.get(layout.biases)));
  const [least, most] = stepLimits;
  const dt = least > 0 || most < Infinity ? clip(steps, least, Math.min(most, 3.4e38)) : steps;
  const mixed = silu(pass.recurrent.convolve(index, convolution, all.slice(-1, inner, inner + convolution.channels)));
  const state = (start: number) => mixed.slice(-1, start, start + shared).reshape([...lead, groups, stateSize]);
  const out = pass.recurrent.scan(index, mixed.slice(-1, 0, inner).reshape([...lead, heads, headDim]), {
    dt,
    a: exp(pass.weights.get(layout.logRates)).neg(),
    b: state(inner),
    c: state(inner + shared),
    d: pass.weights.get(layout.skip),
  });
  return pass.linear(output, pass.norm(norm, out.reshape([...lead, inner]).mul(silu(z))));
}
