import { rotary } from '@heddle/attention';
import { cast, concat, type Dim, dequantize, isStorageDType, matmul, pad, permute, type Tensor } from '@heddle/tensor';
import type { LatentAttentionLayout } from './latent-layout.ts';
import type { Pass } from './pass.ts';

/** What the rows of a latent attention are made of, before heads have keys and values of their own. */
interface LatentRows {
  /** `[..., H, plain]` and `[..., H, rotated]`. */
  readonly query: Tensor;
  readonly turned: Tensor;
  /** `[..., R]` and `[..., 1, rotated]`. */
  readonly latent: Tensor;
  readonly shared: Tensor;
}

/** Multi-head latent attention: f32 `[..., E]` to f32 `[..., E]`. */
export function latentLayer(pass: Pass, index: number, layout: LatentAttentionLayout, x: Tensor): Tensor {
  const { heads, valueDim, output } = layout;
  const rows = latentRows(pass, layout, x);
  // an adapter of it changes what each row makes of its latent, which then cannot be taken into the queries
  const mixed =
    pass.isPacked && !pass.isAdapted(layout.up)
      ? absorbed(pass, index, layout, rows)
      : spread(pass, index, layout, rows);
  return pass.linear(output, mixed.reshape([...x.shape.slice(0, -1), heads * valueDim]));
}

function latentRows(pass: Pass, layout: LatentAttentionLayout, x: Tensor): LatentRows {
  const { heads, latentDim, plainDim, rotaryDim, query: from, rotary: spec, interleaved } = layout;
  const lead = x.shape.slice(0, -1);
  const { places, table } = pass.rotations.of(spec);
  const turn = (y: Tensor) => rotary(y, places, table, { interleaved });
  const query =
    'direct' in from
      ? pass.linear(from.direct, x)
      : pass.linear(from.up, pass.norm(from.norm, pass.linear(from.down, x)));
  const each = query.reshape([...lead, heads, plainDim + rotaryDim]);
  const all = pass.linear(layout.down, x);
  return {
    query: each.slice(-1, 0, plainDim),
    turned: turn(each.slice(-1, plainDim)),
    latent: pass.norm(layout.norm, all.slice(-1, 0, latentDim)),
    shared: turn(all.slice(-1, latentDim).reshape([...lead, 1, rotaryDim])),
  };
}

/**
 * Packed rows: what makes keys and values of the latent rows is taken into the queries and into what is attended to, so that there
 * is one key of R + rotated values for all heads, and its first R are its value.
 */
function absorbed(pass: Pass, index: number, layout: LatentAttentionLayout, rows: LatentRows): Tensor {
  const { heads: H, latentDim: R, plainDim, valueDim, scale } = layout;
  const T = rows.latent.shape[0]!;
  const stored = pass.weights.get(`${layout.up.site}.weight`);
  const up = (isStorageDType(stored.dtype) ? dequantize(stored) : stored).reshape([H, plainDim + valueDim, R]);
  const byHead = (x: Tensor) => cast(permute(x, [1, 0, 2]), pass.activations);
  const queries = matmul(byHead(rows.query), cast(up.slice(1, 0, plainDim), pass.activations), { dtype: 'f32' });
  const q = concat([permute(queries, [1, 0, 2]), rows.turned], -1);
  const keys = concat([rows.latent.reshape([T, 1, R]), rows.shared], -1);
  const out = pass
    .attend(
      cast(q, pass.activations),
      { keys: cast(keys, pass.activations), values: undefined, layer: index, own: true },
      { scale, valueDim: R },
    )
    .reshape([T, H, R]);
  const weights = cast(up.slice(1, plainDim), pass.activations);
  const values = matmul(byHead(out), weights, { transposeB: true, dtype: 'f32' });
  return permute(values, [1, 0, 2]).reshape([T, H, valueDim]);
}

/** A batch, or rows without a cache: keys and values of every head. */
function spread(pass: Pass, index: number, layout: LatentAttentionLayout, rows: LatentRows): Tensor {
  const { heads: H, plainDim, rotaryDim, valueDim, scale, up } = layout;
  pass.refuseCache(`adapters of ${up.site}, as heads have no keys and values of their own there`);
  const lead: readonly Dim[] = rows.latent.shape.slice(0, -1);
  const both = pass.linear(up, rows.latent).reshape([...lead, H, plainDim + valueDim]);
  const shared = rows.shared.expand([...lead, H, rotaryDim]);
  // attention takes keys and values of one size
  const D = Math.max(plainDim + rotaryDim, valueDim);
  const filled = (x: Tensor) => {
    const missing = D - (x.shape.at(-1) as number);
    const none = x.shape.map(() => 0);
    return cast(missing === 0 ? x : pad(x, none, [...none.slice(1), missing]), pass.activations);
  };
  const keys = filled(concat([both.slice(-1, 0, plainDim), shared], -1));
  const values = filled(both.slice(-1, plainDim));
  const q = filled(concat([rows.query, rows.turned], -1));
  const out = pass.attend(q, { keys, values, layer: index, own: false }, { scale });
  return cast(out.reshape([...lead, H, D]), 'f32').slice(-1, 0, valueDim);
}
