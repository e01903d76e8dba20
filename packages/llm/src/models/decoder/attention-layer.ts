import { rotary } from '@heddle/attention';
import { cast, floor, log, type Tensor } from '@heddle/tensor';
import type { KeysAndValues } from './attend.ts';
import type { AttentionLayout } from './layout.ts';
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
  const { heads, headDim, output, scale, window, softcap, sinks } = layout;
  const lead = x.shape.slice(0, -1);
  const { query, key, value } = project(pass, layout, x);
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
    ...(sinks !== undefined && { sinks: pass.weights.get(sinks) }),
  });
  return pass.linear(output, mixed.reshape([...lead, heads * headDim]));
}

interface Projected {
  readonly query: Tensor;
  readonly key?: Tensor;
  readonly value?: Tensor;
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
  const query = norm('query', pass.linear(projections.query, x), heads);
  if (!projections.key) return { query };
  const keys = pass.linear(projections.key, x);
  const values = projections.value ? pass.linear(projections.value, x) : keys;
  return { query, key: norm('key', keys, keyValueHeads), value: norm('value', values, keyValueHeads) };
}

function rotated(pass: Pass, { rotary: spec }: AttentionLayout, x: Tensor): Tensor {
  if (!spec) return x;
  const { places, table } = pass.rotations.of(spec);
  return rotary(x, places, table);
}

function grown({ positions }: Pass, { queryGrowth }: AttentionLayout, q: Tensor): Tensor {
  if (!queryGrowth) return q;
  const turns = floor(cast(positions, 'f32').div(queryGrowth.positions));
  const factor = log(turns.add(1)).mul(queryGrowth.beta).add(1);
  return q.mul(factor.reshape([...positions.shape, 1, 1]));
}
