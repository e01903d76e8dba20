import type { Node, OnnxBuilder, OnnxLowering } from '@heddle/tensor';
import { lowestScore } from './lowest-score.ts';
import type { PackedAttributes } from './packed-attention.ts';

/**
 * Rows of each sequence side by side, `[B, L]` with L the most rows of a sequence in the run, and one Attention operator of
 * the runtime: neither decoding (L = 1) nor the prefill of one sequence computes more than it must. Layout and mask are the
 * same nodes in every layer, which the runtime merges.
 */
export const packedOnnx: OnnxLowering<PackedAttributes> = {
  // the operator caps after it has masked, where a mask is no longer seen
  supports: ({ attributes: { softcap, cache } }) => softcap === undefined && cache?.bits === undefined,
  emit(builder, inputs, node) {
    const [q, k, v] = inputs as [string, string, string];
    const { dtype, shape } = node.outputs[0]!;
    const [H, D] = shape.slice(1) as [number, number];
    const K = node.inputs[1]!.shape[1] as number;
    const layout = layoutOf(builder, inputs, node);
    const own = (x: string, type: Node['outputs'][number], heads: number) => {
      const rows = toF32(builder, gatherRows(builder, x, layout.rowAt, heads * D), type.dtype);
      return swapHeads(builder, builder.op('Reshape', [rows, builder.constant('i64', [4], [0, 0, heads, D])]));
    };
    const slots = node.attributes.cache ? slotsOf(builder, inputs, node, K) : undefined;
    const join = (x: string, input: number) => {
      if (!slots) return x;
      const cached = toF32(builder, gatherRows(builder, inputs[input]!, slots, D), node.inputs[input]!.dtype);
      return builder.op('Concat', [cached, x], { attributes: { axis: 2 } });
    };
    const attended = builder.op(
      'Attention',
      [
        own(q, node.inputs[0]!, H),
        join(own(k, node.inputs[1]!, K), 5),
        join(own(v, node.inputs[2]!, K), 6),
        maskOf(builder, inputs, node, layout),
      ],
      { attributes: { scale: { float: node.attributes.scale } } },
    );
    const packed = gatherRows(builder, swapHeads(builder, attended), layout.placeOf, H * D);
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

const int = (builder: OnnxBuilder, value: number) => builder.constant('i64', [1], [value]);

/** Number of sequences, as i64 `[1]`: those of the cache, or as many as the segments name. */
function sequencesOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): string {
  if (node.attributes.cache) return builder.sizes([node.inputs[8]!.shape[0]!]);
  const highest = builder.op('ReduceMax', [builder.cast(inputs[3]!, 'i64'), int(builder, 0)], {
    attributes: { keepdims: 1 },
  });
  return builder.op('Max', [builder.op('Add', [highest, int(builder, 1)]), int(builder, 1)]);
}

/** 0, 1, ... below `count` (i64 `[1]`). */
function range(builder: OnnxBuilder, count: string): string {
  const [zero, one] = [builder.constant('i64', [], [0]), builder.constant('i64', [], [1])];
  return builder.op('Range', [zero, builder.op('Squeeze', [count]), one]);
}

function layoutOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): Layout {
  const op = builder.op.bind(builder);
  const segments = builder.cast(inputs[3]!, 'i64');
  const B = sequencesOf(builder, inputs, node);
  const column = op('Unsqueeze', [segments, int(builder, 1)]);
  const member = builder.cast(op('Equal', [column, range(builder, B)]), 'i64');
  const counted = op('CumSum', [member, builder.constant('i64', [], [0])]);
  const order = op('ReduceSum', [op('Mul', [member, counted]), int(builder, 1)], { attributes: { keepdims: 0 } });
  // order counts from 1; 0 for rows that belong to nothing
  const L = op('Max', [op('ReduceMax', [order, int(builder, 0)], { attributes: { keepdims: 1 } }), int(builder, 1)]);
  const places = op('Mul', [B, L]);
  const belongs = op('Greater', [order, int(builder, 0)]);
  const place = op('Add', [op('Mul', [segments, L]), op('Sub', [order, int(builder, 1)])]);

  // one place more than there are, for the rows that belong to nothing
  const nowhere = op('Expand', [int(builder, -1), op('Add', [places, int(builder, 1)])]);
  const rows = range(builder, builder.sizes([node.inputs[0]!.shape[0]!]));
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

/**
 * i64 `[B, K, S]`: where each head of each sequence's cached tokens is in the pool, as rows `[slots * K, D]`; beyond the block
 * table the last block's. Gathered by heads, keys lie as the operator reads them (0.98 against 1.36 ms by tokens: one query,
 * 2,048 keys, 8 heads of 64).
 */
function slotsOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>, K: number): string {
  const op = builder.op.bind(builder);
  const { blockSize, maxLength } = node.attributes.cache!;
  const [slots, blocks] = [node.inputs[5]!.shape[0]!, node.inputs[7]!.shape[1]!];
  const size = int(builder, blockSize);
  const token = range(builder, builder.sizes([maxLength]));
  const last = op('Sub', [builder.sizes([blocks]), int(builder, 1)]);
  const block = op('Min', [op('Div', [token, size]), last]);
  const first = op('Gather', [builder.cast(inputs[7]!, 'i64'), block], { attributes: { axis: 1 } });
  const slot = op('Add', [op('Mul', [first, size]), op('Mod', [token, size])]);
  // entries of the table that are not in use may be anything
  const highest = op('Sub', [builder.sizes([slots]), int(builder, 1)]);
  const within = op('Max', [op('Min', [slot, highest]), int(builder, 0)]);
  const heads = builder.constant(
    'i64',
    [K, 1],
    Array.from({ length: K }, (_, head) => head),
  );
  return op('Add', [op('Mul', [op('Unsqueeze', [within, int(builder, 1)]), int(builder, K)]), heads]);
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
    const token = range(builder, builder.sizes([cache.maxLength]));
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

/** Rows of x, taken as `[rows, width]`, at `indices`: `[...indices, width]`. */
function gatherRows(builder: OnnxBuilder, x: string, indices: string, width: number): string {
  const rows = builder.reshape(x, [-1, width]);
  return builder.op('Gather', [rows, indices], { attributes: { axis: 0 } });
}

/** `[B, L, H, D]` as `[B, H, L, D]`, and back. */
function swapHeads(builder: OnnxBuilder, x: string): string {
  return builder.op('Transpose', [x], { attributes: { perm: [0, 2, 1, 3] } });
}

function toF32(builder: OnnxBuilder, x: string, dtype: string): string {
  return dtype === 'f32' ? x : builder.cast(x, 'f32');
}
