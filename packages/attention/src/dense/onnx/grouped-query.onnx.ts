import { dimsEqual, type Node, type OnnxBuilder, type TensorType } from '@heddle/tensor';
import { type DenseAttributes, extrasOf, sizesOf } from '../arguments.ts';
import { isPositive } from './finite-rows.onnx.ts';

/** Queries up to which the Attention operator with a mask is the faster one (CPU, heads of 64: 1.1 against 1.6 ms at 128). */
const shortQueries = 511;

/**
 * Whether the runtime's GroupQueryAttention computes an attention: causal, of queries to their own keys. It makes no mask,
 * and is the only operator that knows sinks and a softcap before the mask.
 */
export function fitsGroupedQuery({
  inputs,
  attributes,
}: Pick<Node<DenseAttributes>, 'inputs' | 'attributes'>): boolean {
  const { L, S, D } = sizesOf(inputs);
  const { causal, keepFirst, softcap, extras } = attributes;
  if (!causal || keepFirst !== undefined || !dimsEqual(L, S) || D % 8 !== 0) return false;
  if (!extras.every((name) => name === 'sinks')) return false;
  if (L === 0) return false;
  return softcap !== undefined || extras.length > 0 || typeof L !== 'number' || L > shortQueries;
}

/** f32 `[B, L, H * D]` of q, k and v, f32 `[B, L, heads * D]`. */
export function groupedQuery(
  builder: OnnxBuilder,
  [q, k, v]: readonly [string, string, string],
  inputs: readonly string[],
  { inputs: types, attributes }: { readonly inputs: readonly TensorType[]; readonly attributes: DenseAttributes },
): string {
  const { B, L, H, K } = sizesOf(types);
  const { scale, window, softcap } = attributes;
  // a run without rows has a program of its own
  const rows = builder.cast(builder.sizes([L]), 'i32');
  const last = builder.op('Sub', [rows, builder.constant('i32', [1], [1])]);
  const { sinks } = extrasOf(inputs, attributes);
  const [out] = builder.opWithOutputs(
    'GroupQueryAttention',
    [
      ...[q, k, v],
      ...['', ''],
      builder.op('Expand', [last, builder.sizes([B])]),
      builder.op('Squeeze', [rows]),
      ...(sinks ? ['', '', '', '', sinks] : []),
    ],
    3, // without names for the present keys and values it computes NaN
    {
      domain: 'com.microsoft',
      attributes: {
        num_heads: H,
        kv_num_heads: K,
        scale: { float: scale },
        ...(window === undefined ? {} : { local_window_size: window }),
        ...(softcap === undefined ? {} : { softcap: { float: softcap } }),
      },
    },
  );
  return out!;
}

/** bool `[B, H, L, 1]`: whether a query sees one of the keys that are 1 in `odd`, f32 `[B, H, S, 1]`. */
export function meetsInGroupedQuery(
  builder: OnnxBuilder,
  odd: string,
  { attributes: { window } }: { readonly attributes: DenseAttributes },
): string {
  const before = builder.op('CumSum', [odd, builder.constant('i64', [], [2])]);
  if (window === undefined) return isPositive(builder, before);
  const [pads, axis] = [builder.constant('i64', [2], [window, -window]), builder.constant('i64', [1], [2])];
  const left = builder.op('Pad', [before, pads, builder.constant('f32', [], [0]), axis]);
  return isPositive(builder, builder.op('Sub', [before, left]));
}
