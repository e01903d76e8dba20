import { type AttendSpec, type AttentionKernel, alibiScores, attention as denseAttention } from '@heddle/attention';
import { ArgumentError, arange, type Device, full, type Tensor, type Update } from '@heddle/tensor';
import type { ForwardInputs } from '../causal-lm.ts';

/** What a layer says of its scores. */
interface LayerScores extends Pick<AttendSpec, 'scale' | 'window' | 'softcap' | 'sinks' | 'valueDim'> {
  /** Whether rows see those after them, too. */
  readonly bidirectional?: boolean;
  readonly alibi?: boolean;
}

/** Which keys and values a layer reads, and whether it is the one that keeps them. */
export interface KeysAndValues {
  readonly keys: Tensor;
  /** Without them values are the leading `valueDim` of keys. */
  readonly values: Tensor | undefined;
  /** The layer that keeps them. */
  readonly layer: number;
  /** Whether this call is the one that writes them. */
  readonly own: boolean;
}

/** How the rows of one forward pass attend: q `[..., H, D]` to the same shape. */
export type Attend = (q: Tensor, kv: KeysAndValues, scores: LayerScores) => Tensor;

/** Packed rows `[T]`, over what was cached before. Writes of the cache are added to `updates`. */
export function packedAttend(
  device: Device,
  { tokens, segments, kv, attention }: ForwardInputs,
  positions: Tensor,
  usual: AttentionKernel,
  updates: Update[],
): Attend {
  const kernel = attention ?? usual;
  const places = { positions, segments: segments ?? full(device, tokens.shape, 0, 'i32') };
  return (q, { keys, values, layer, own }, { bidirectional, alibi, ...scores }) => {
    if (bidirectional)
      throw new ArgumentError(
        'forward: a model that attends in both directions takes a batch [B, L] of tokens, got packed rows [T]',
      );
    const spec = { ...places, ...scores, ...(alibi && { scoreMod: alibiScores(Number(q.shape[1])) }) };
    const reason = kernel.supports(spec);
    if (reason !== undefined) throw new ArgumentError(`forward: attention ${kernel.name} cannot be used: ${reason}`);
    if (kv && own) updates.push(...kv.write(layer, values ? { keys, values } : { latent: keys }));
    return kernel.attend(q, keys, values, kv?.layer(layer), spec);
  };
}

/** A batch `[B, L]` of equally long rows. */
export function denseAttend({ kv, rows, segments }: ForwardInputs): Attend {
  if (kv || rows) throw new ArgumentError('forward: kv and rows take packed rows [T], got a batch [B, L] of tokens');
  return (q, { keys, values }, { valueDim: _, bidirectional, window, ...scores }) => {
    const own = segments && { segments };
    if (!bidirectional)
      return denseAttention(q, keys, values!, { causal: true, ...scores, ...(window && { window }), ...own });
    return denseAttention(q, keys, values!, { ...scores, ...own, ...(window && { mask: within(q, window) }) });
  };
}

/** Which keys are less than `window` rows before or after each query, bool `[1, 1, L, L]`. */
function within(q: Tensor, window: number): Tensor {
  const L = q.shape[1]!;
  const row = arange(q.device, L);
  const back = row.reshape([1, 1, L, 1]).sub(row.reshape([1, 1, 1, L]));
  return back.less(window).and(back.greater(-window));
}
