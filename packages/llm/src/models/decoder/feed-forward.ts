import type { Tensor } from '@heddle/tensor';
import { expertsLayer } from './experts.ts';
import type { FeedForwardLayout } from './layout.ts';
import { activations, type Pass } from './pass.ts';

/** What each position does by itself: f32 `[..., E]` to f32 `[..., E]`. */
export function feedForward(pass: Pass, layout: FeedForwardLayout, x: Tensor): Tensor {
  if (layout.kind === 'experts') return expertsLayer(pass, layout, x, (part, rows) => feedForward(pass, part, rows));
  const activate = activations[layout.activation];
  if (layout.kind === 'plain') return pass.linear(layout.down, activate(pass.linear(layout.up, x)));
  const { projections, down } = layout;
  if ('gateUp' in projections) {
    const both = pass.linear(projections.gateUp, x);
    const half = projections.gateUp.outSize / 2;
    return pass.linear(down, activate(both.slice(-1, 0, half)).mul(both.slice(-1, half)));
  }
  return pass.linear(down, activate(pass.linear(projections.gate, x)).mul(pass.linear(projections.up, x)));
}
