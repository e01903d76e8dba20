import type { Node, OnnxBuilder, OnnxLowering } from '@heddle/tensor';
import { lowestScore } from './lowest-score.ts';
import type { PackedAttributes } from './packed-attention.ts';
import { isOneRow, oneRow } from './packed-one-row.onnx.ts';
import { gatherRows, int, pagesOf, range, toF32 } from './packed-pages.onnx.ts';

/**
 * Rows of each sequence side by side, `[B, L]` with L the most rows of a sequence in the run, and one Attention operator of
 * the runtime: neither decoding (L = 1) nor the prefill of one sequence computes more than it must. Layout and mask are the
 * same nodes in every layer, which the runtime merges. A step that is known to be one row of one sequence needs neither.
 */
export const packedOnnx: OnnxLowering<PackedAttributes> = {
  // the operator caps after it has masked, where a mask is no longer seen
  supports: ({ attributes: { softcap, cache } }) => softcap === undefined && cache?.bits === undefined,
  emit(builder, inputs, node) {
    if (isOneRow(node)) return oneRow(builder, inputs, node);
    const { dtype, shape } = node.outputs[0]!;
    const [H, D] = shape.slice(1) as [number, number];
    const K = node.inputs[1]!.shape[1] as number;
    const layout = layoutOf(builder, inputs, node);
    const pages = node.attributes.cache ? pagesOf(builder, inputs, node) : undefined;
    const rows = (input: number, indices: string, width: number) =>
      toF32(builder, gatherRows(builder, inputs[input]!, indices, width), node.inputs[input]!);
    const keys = (own: number, pool: number) => {
      const ownRows = rows(own, layout.rowAt, K * D);
      if (!pages) return ownRows;
      const { chunkSize, chunks, rest } = pages;
      const cached = inRows(builder, rows(pool, chunks, chunkSize * K * D), K * D);
      const between = rest === undefined ? [] : [rows(pool, rest, K * D)];
      return builder.op('Concat', [cached, ...between, ownRows], { attributes: { axis: 1 } });
    };
    const { scale } = node.attributes;
    const query = builder.op('Mul', [rows(0, layout.rowAt, H * D), builder.constant('f32', [], [scale])]);
    const attended = builder.op('Attention', [query, keys(1, 5), keys(2, 6), maskOf(builder, inputs, node, layout)], {
      // with a scale of its own the operator has a slower product of one query
      attributes: { scale: { float: 1 }, q_num_heads: H, kv_num_heads: K },
    });
    const packed = gatherRows(builder, attended, layout.placeOf, H * D);
    // rows that belong to nothing took the place of another
    const zeroed = builder.op('Mul', [packed, layout.belongs]);
    const result = builder.reshape(zeroed, shape);
    return dtype === 'f32' ? result : builder.cast(result, dtype);
  },
};

/** How packed rows lie in `[B, L]`. */
interface Layout {
  /** `[B, L]`: the row there, 0 where there is none. */
  readonly rowAt: string;
  /** bool `[B, L]`: whether there is a row. */
  readonly hasRow: string;
  /** `[T]`: a row's place in B * L, 0 for rows that belong to nothing. */
  readonly placeOf: string;
  /** f32 `[T, 1]`: 1, or 0 for rows that belong to nothing. */
  readonly belongs: string;
}

/** Number of sequences, as i64 `[1]`: those of the cache, or as many as the segments name. */
function sequencesOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): string {
  if (node.attributes.cache) return builder.sizes([node.inputs[8]!.shape[0]!]);
  const highest = builder.op('ReduceMax', [builder.cast(inputs[3]!, 'i64'), int(builder, 0)], {
    attributes: { keepdims: 1 },
  });
  return builder.op('Max', [builder.op('Add', [highest, int(builder, 1)]), int(builder, 1)]);
}

function layoutOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): Layout {
  const op = builder.op.bind(builder);
  const segments = builder.cast(inputs[3]!, 'i64');
  const B = sequencesOf(builder, inputs, node);
  const column = op('Unsqueeze', [segments, int(builder, 1)]);
  const member = builder.cast(op('Equal', [column, range(builder, int(builder, 0), B)]), 'i64');
  const counted = op('CumSum', [member, builder.constant('i64', [], [0])]);
  const order = op('ReduceSum', [op('Mul', [member, counted]), int(builder, 1)], { attributes: { keepdims: 0 } });
  // order counts from 1; 0 for rows that belong to nothing
  const L = op('Max', [op('ReduceMax', [order, int(builder, 0)], { attributes: { keepdims: 1 } }), int(builder, 1)]);
  const places = op('Mul', [B, L]);
  const belongs = op('Greater', [order, int(builder, 0)]);
  const place = op('Add', [op('Mul', [segments, L]), op('Sub', [order, int(builder, 1)])]);

  // one place more than there are, for the rows that belong to nothing
  const nowhere = op('Expand', [int(builder, -1), op('Add', [places, int(builder, 1)])]);
  const rows = range(builder, int(builder, 0), builder.sizes([node.inputs[0]!.shape[0]!]));
  const scattered = op('ScatterElements', [nowhere, op('Where', [belongs, place, places]), rows], {
    attributes: { axis: 0 },
  });
  const grid = op('Reshape', [
    op('Slice', [scattered, int(builder, 0), places]),
    op('Concat', [B, L], { attributes: { axis: 0 } }),
  ]);
  return {
    rowAt: op('Max', [grid, int(builder, 0)]),
    hasRow: op('GreaterOrEqual', [grid, int(builder, 0)]),
    placeOf: op('Where', [belongs, place, int(builder, 0)]),
    belongs: op('Unsqueeze', [builder.cast(belongs, 'f32'), int(builder, 1)]),
  };
}

/** What is added to the scores, f32 `[B, 1, L, S + L]`. */
function maskOf(
  builder: OnnxBuilder,
  inputs: readonly string[],
  node: Node<PackedAttributes>,
  { rowAt, hasRow }: Layout,
): string {
  const op = builder.op.bind(builder);
  const { window, cache } = node.attributes;
  const at = (x: string, ...axes: number[]) => op('Unsqueeze', [x, builder.constant('i64', [axes.length], axes)]);
  const positions = op('Gather', [builder.cast(inputs[4]!, 'i64'), rowAt], { attributes: { axis: 0 } });
  const query = at(positions, 2);
  const near = (seen: string, position: string) =>
    window === undefined ? seen : op('And', [seen, op('Less', [op('Sub', [query, position]), int(builder, window)])]);

  const key = at(positions, 1);
  let seen = near(op('And', [op('LessOrEqual', [key, query]), at(hasRow, 1)]), key);
  if (cache) {
    const token = range(builder, int(builder, 0), builder.sizes([cache.maxLength]));
    const within = at(op('Less', [token, at(builder.cast(inputs[8]!, 'i64'), 1)]), 1);
    const shape = op('Concat', [op('Shape', [positions]), builder.sizes([cache.maxLength])], {
      attributes: { axis: 0 },
    });
    const old = window === undefined ? op('Expand', [within, shape]) : near(within, token);
    seen = op('Concat', [old, seen], { attributes: { axis: 2 } });
  }
  const [open, closed] = [builder.constant('f32', [], [0]), builder.constant('f32', [], [lowestScore])];
  return at(op('Where', [seen, open, closed]), 1);
}

/** `[B, C, n * width]` as rows `[B, C * n, width]`. */
function inRows(builder: OnnxBuilder, x: string, width: number): string {
  return builder.op('Reshape', [x, builder.constant('i64', [3], [0, -1, width])]);
}
