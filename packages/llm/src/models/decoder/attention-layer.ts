import { rotary } from '@heddle/attention';
import { cast, floor, log, sigmoid, type Tensor } from '@heddle/tensor';
import type { KeysAndValues } from './attend.ts';
import type { AttentionLayout, LinearLayout } from './layout.ts';
import type { Pass } from './pass.ts';

/** Keys and values of the layers before, for those that share them. */
export type SharedKeysAndValues = Map<number, KeysAndValues>;

/** Attention: f32 `[..., E]` to f32 `[..., E]`. */
export function attentionLayer(
  pass: Pass,
  index: number,
  layout: AttentionLayout,
  x: Tensor,
  shared: SharedKeysAndValues,
): Tensor {
  const { heads, headDim, output, scale, window, softcap, sinks, bidirectional, alibi } = layout;
  const lead = x.shape.slice(0, -1);
  const { query, key, value, gate } = project(pass, layout, x);
  const q = cast(grown(pass, layout, rotated(pass, layout, query)), pass.activations);
  const kv: KeysAndValues =
    key && value
      ? {
          keys: cast(rotated(pass, layout, key), pass.activations),
          values: cast(value, pass.activations),
          layer: index,
          own: true,
        }
      : { ...shared.get(layout.sharedWith!)!, own: false };
  shared.set(index, kv);
  const mixed = pass.attend(q, kv, {
    ...(scale !== undefined && { scale }),
    ...(window !== undefined && { window }),
    ...(softcap !== undefined && { softcap }),
    ...(bidirectional && { bidirectional }),
    ...(alibi && { alibi }),
    ...(sinks !== undefined && { sinks: pass.weights.get(sinks) }),
  });
  const all = mixed.reshape([...lead, heads * headDim]);
  return pass.linear(output, gate ? cast(all, 'f32').mul(sigmoid(gate)) : all);
}

interface Projected {
  readonly query: Tensor;
  readonly key?: Tensor;
  readonly value?: Tensor;
  /** `[..., H D]` */
  readonly gate?: Tensor;
}

/** Queries, keys and values `[..., heads, D]`, with their norms. */
function project(pass: Pass, layout: AttentionLayout, x: Tensor): Projected {
  const { heads, keyValueHeads, headDim, projections, headNorms } = layout;
  const norm = (kind: 'query' | 'key' | 'value', y: Tensor, count: number) => {
    const split = (z: Tensor) => z.reshape([...x.shape.slice(0, -1), count, headDim]);
    return headNorms?.over === 'all' ? split(pass.norm(headNorms[kind], y)) : pass.norm(headNorms?.[kind], split(y));
  };
  if ('queryKeyValue' in projections) {
    const all = pass.linear(projections.queryKeyValue, x);
    const [first, second] = [heads * headDim, (heads + keyValueHeads) * headDim];
    return {
      query: norm('query', all.slice(-1, 0, first), heads),
      key: norm('key', all.slice(-1, first, second), keyValueHeads),
      value: norm('value', all.slice(-1, second), keyValueHeads),
    };
  }
  const { gate, ...asked } = queries(pass, layout, projections.query, x);
  const query = norm('query', asked.query, heads);
  if (!projections.key) return { query, ...gate };
  const keys = pass.linear(projections.key, x);
  const values = projections.value ? pass.linear(projections.value, x) : keys;
  return { query, ...gate, key: norm('key', keys, keyValueHeads), value: norm('value', values, keyValueHeads) };
}

/** `[..., H D]` of queries, and of gates where each head has one after its query. */
function queries(
  pass: Pass,
  { heads, headDim, gated }: AttentionLayout,
  layer: LinearLayout,
  x: Tensor,
): { readonly query: Tensor; readonly gate?: { readonly gate: Tensor } } {
  const all = pass.linear(layer, x);
  if (!gated) return { query: all };
  const lead = x.shape.slice(0, -1);
  const both = all.reshape([...lead, heads, 2 * headDim]);
  const half = (start: number) => both.slice(-1, start, start + headDim).reshape([...lead, heads * headDim]);
  return { query: half(0), gate: { gate: half(headDim) } };
}

function rotated(pass: Pass, { rotary: spec, interleaved = false }: AttentionLayout, x: Tensor): Tensor {
  if (!spec) return x;
  const { places, table } = pass.rotations.of(spec);
  return rotary(x, places, table, { interleaved });
}

function grown({ positions }: Pass, { queryGrowth }: AttentionLayout, q: Tensor): Tensor {
  if (!queryGrowth) return q;
  const turns = floor(cast(positions, 'f32').div(queryGrowth.positions));
  const factor = log(turns.add(1)).mul(queryGrowth.beta).add(1);
  return q.mul(factor.reshape([...positions.shape, 1, 1]));
}
