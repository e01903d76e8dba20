import {
  gatedDeltaRule,
  type Mamba2Parameters,
  mamba2Scan,
  packedGatedDeltaRule,
  packedMamba2Scan,
  packedShortConvolution,
  type StateView,
  shortConvolution,
} from '@heddle/attention';
import { ArgumentError, cast, type Device, full, type Tensor, type Update } from '@heddle/tensor';
import type { ForwardInputs } from '../causal-lm.ts';
import type { Weights } from '../weights.ts';
import type { ConvolutionLayout } from './recurrent-layouts.ts';

/** Names of the stores that recurrent layers have in a cache. */
export const convolutionStore = 'convolution';
export const stateStore = 'state';

/** What a delta rule takes, f32. */
interface DeltaRows {
  readonly q: Tensor;
  readonly k: Tensor;
  readonly v: Tensor;
  readonly logDecay: Tensor;
  readonly beta: Tensor;
}

/** What recurrent layers do with the rows of one forward pass: a batch `[B, L]`, or packed rows `[T]` over what was cached before. */
export interface RecurrentRows {
  convolve(layer: number, layout: ConvolutionLayout, x: Tensor): Tensor;
  deltaRule(layer: number, rows: DeltaRows): Tensor;
  scan(layer: number, x: Tensor, parameters: Mamba2Parameters): Tensor;
}

/** Where the weights of convolutions are, and what they and the cache read. */
interface RowParts {
  readonly weights: Weights;
  readonly activations: 'f32' | 'f16';
}

function kernelOf(weights: Weights, { site, channels, width, bias }: ConvolutionLayout) {
  const weight = weights.get(`${site}.weight`).reshape([channels, width]);
  return { weight, bias: bias ? weights.get(`${site}.bias`) : undefined };
}

/** A batch of equally long rows. */
export function denseRows({ kv, segments }: ForwardInputs, { weights, activations }: RowParts): RecurrentRows {
  const check = () => {
    if (kv) throw new ArgumentError('forward: kv takes packed rows [T], got a batch [B, L] of tokens');
    if (segments)
      throw new ArgumentError(
        'forward: layers that go on from the row before take a batch without segments; give packed rows [T]',
      );
  };
  return {
    convolve(_, layout, x) {
      check();
      const { weight, bias } = kernelOf(weights, layout);
      return cast(shortConvolution(cast(x, activations), weight, { bias }).out, 'f32');
    },
    deltaRule(_, { q, k, v, logDecay, beta }) {
      check();
      return gatedDeltaRule(q, k, v, { logDecay, beta, normalize: true }).out;
    },
    scan(_, x, parameters) {
      check();
      return mamba2Scan(x, parameters).out;
    },
  };
}

/** Packed rows. Writes of the cache are added to `updates`. */
export function packedRows(
  device: Device,
  { tokens, segments: given, kv }: ForwardInputs,
  positions: Tensor,
  updates: Update[],
  { weights, activations }: RowParts,
): RecurrentRows {
  const segments = given ?? full(device, tokens.shape, 0, 'i32');
  const statesOf = (layer: number): { segments: Tensor; states: StateView | undefined } => ({
    segments,
    states: kv?.state(layer, stateStore),
  });
  const keep = (layer: number, { out, states }: { out: Tensor; states: Tensor | undefined }) => {
    if (kv && states) updates.push(...kv.save(layer, { [stateStore]: states }));
    return out;
  };
  return {
    convolve(layer, layout, x) {
      const { weight, bias } = kernelOf(weights, layout);
      const stored = cast(x, activations);
      const cached = kv?.rows(layer, convolutionStore);
      const out = packedShortConvolution(stored, weight, { segments, positions, cached, bias });
      if (kv)
        updates.push(...kv.write(layer, { [convolutionStore]: stored.reshape([x.shape[0]!, 1, layout.channels]) }));
      return cast(out, 'f32');
    },
    deltaRule(layer, { q, k, v, logDecay, beta }) {
      const gates = { logDecay, beta, normalize: true };
      return keep(layer, packedGatedDeltaRule(q, k, v, { ...gates, ...statesOf(layer) }));
    },
    scan(layer, x, parameters) {
      return keep(layer, packedMamba2Scan(x, { ...parameters, ...statesOf(layer) }));
    },
  };
}
