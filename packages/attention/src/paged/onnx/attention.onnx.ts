import type { Node, OnnxBuilder, OnnxLowering } from '@heddle/tensor';
import { lowestScore } from '../../dense/mask-value.ts';
import { either, type FiniteRows, finiteRows, isPositive, spoiled } from '../../dense/onnx/finite-rows.onnx.ts';
import { named, type PackedAttributes, type PackedInput, packedSizes, settingsOf } from '../attributes.ts';
import { isOneRow, oneRow } from './one-row.onnx.ts';
import { gatherRows, int, pagesOf, range, toF32 } from './page-table.onnx.ts';

/**
 * Rows of each sequence side by side, `[B, L]` with L the most rows of a sequence in the run, and one Attention operator of
 * the runtime: neither decoding (L = 1) nor the prefill of one sequence computes more than it must. Layout and mask are the
 * same nodes in every layer, which the runtime merges. A step that is known to be one row of one sequence needs neither.
 */
export const packedOnnx: OnnxLowering<PackedAttributes> = {
  // the operator caps after it has masked, where a mask is no longer seen
  supports: ({ inputs, attributes }) => settingsOf(inputs, attributes).every((name) => name === 'keepFirst'),
  emit(builder, inputs, node) {
    if (isOneRow(node)) return oneRow(builder, inputs, node);
    const { dtype, shape } = node.outputs[0]!;
    const { H, K, D } = packedSizes(node.inputs, node.attributes);
    const [arrays, types] = [named(inputs, node.attributes), named(node.inputs, node.attributes)];
    const layout = layoutOf(builder, inputs, node);
    const pages = node.attributes.cache ? pagesOf(builder, inputs, node) : undefined;
    const rows = (input: PackedInput, indices: string, width: number) =>
      toF32(builder, gatherRows(builder, arrays[input]!, indices, width), types[input]!);
    const { own: seenOwn, cached: seenCached, within } = seenKeys(builder, inputs, node, layout);
    const zero = builder.constant('f32', [], [0]);
    const column = (x: string) => builder.op('Unsqueeze', [x, int(builder, 2)]);
    // places without a row, and slots beyond a sequence's length, may hold anything
    const ofStep = (input: PackedInput) =>
      finiteRows(builder, builder.op('Where', [column(layout.hasRow), rows(input, layout.rowAt, K * D), zero]), K, D);
    const ofCache = (input: PackedInput): FiniteRows => {
      const { chunkSize, chunks, rest } = pages!;
      const whole = inRows(builder, rows(input, chunks, chunkSize * K * D), K * D);
      const all =
        rest === undefined
          ? whole
          : builder.op('Concat', [whole, rows(input, rest, K * D)], { attributes: { axis: 1 } });
      const clean = builder.op('Where', [column(within!), all, zero]);
      // without a window every row sees all that was cached of its sequence
      return node.attributes.window === undefined ? { rows: clean, odd: '' } : finiteRows(builder, clean, K, D);
    };
    const [keys, values] = [ofStep('k'), ofStep('v')];
    const cached = pages ? ([ofCache('keys'), ofCache('values')] as const) : undefined;
    const joined = (i: 0 | 1) =>
      cached
        ? builder.op('Concat', [cached[i].rows, [keys, values][i]!.rows], { attributes: { axis: 1 } })
        : [keys, values][i]!.rows;
    /** f32 `[B, L, K]`: more than 0 where a row sees a key or a value that is not finite. */
    const meets = (seen: string, [k, v]: readonly [FiniteRows, FiniteRows]) =>
      builder.op('MatMul', [builder.cast(seen, 'f32'), either(builder, k.odd, v.odd)]);
    const ofOwn = meets(seenOwn, [keys, values]);
    const met =
      cached && node.attributes.window !== undefined ? builder.op('Add', [ofOwn, meets(seenCached!, cached)]) : ofOwn;
    const seen = seenCached ? builder.op('Concat', [seenCached, seenOwn], { attributes: { axis: 2 } }) : seenOwn;
    const { scale } = node.attributes;
    const query = builder.op('Mul', [rows('q', layout.rowAt, H * D), builder.constant('f32', [], [scale])]);
    const attended = builder.op('Attention', [query, joined(0), joined(1), maskOf(builder, seen)], {
      // with a scale of its own the operator has a slower product of one query
      attributes: { scale: { float: 1 }, q_num_heads: H, kv_num_heads: K },
    });
    const packed = builder.reshape(gatherRows(builder, attended, layout.placeOf, H * D), [shape[0]!, K, (H / K) * D]);
    const own = spoiled(builder, packed, column(isPositive(builder, gatherRows(builder, met, layout.placeOf, K))));
    // rows that belong to nothing took the place of another
    const result = builder.reshape(builder.op('Where', [column(layout.belongs), own, zero]), shape);
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
  /** bool `[T, 1]`: false for rows that belong to nothing. */
  readonly belongs: string;
}

/** Number of sequences, as i64 `[1]`: those of the cache, or as many as the segments name. */
function sequencesOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): string {
  const { lengths } = named(node.inputs, node.attributes);
  if (lengths) return builder.sizes([lengths.shape[0]!]);
  const { segments } = named(inputs, node.attributes);
  const highest = builder.op('ReduceMax', [builder.cast(segments, 'i64'), int(builder, 0)], {
    attributes: { keepdims: 1 },
  });
  return builder.op('Max', [builder.op('Add', [highest, int(builder, 1)]), int(builder, 1)]);
}

function layoutOf(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): Layout {
  const op = builder.op.bind(builder);
  const segments = builder.cast(named(inputs, node.attributes).segments, 'i64');
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
  const rows = range(builder, int(builder, 0), builder.sizes([node.outputs[0]!.shape[0]!]));
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
    belongs: op('Unsqueeze', [belongs, int(builder, 1)]),
  };
}

/** Which keys the rows see. */
interface SeenKeys {
  /** bool `[B, L, L]`: of the step's own. */
  readonly own: string;
  /** bool `[B, L, S]`: of those that were cached. */
  readonly cached?: string;
  /** bool `[B, S]`: whether there is a cached token. */
  readonly within?: string;
}

function seenKeys(
  builder: OnnxBuilder,
  inputs: readonly string[],
  node: Node<PackedAttributes>,
  { rowAt, hasRow }: Layout,
): SeenKeys {
  const op = builder.op.bind(builder);
  const { window, keepFirst, cache } = node.attributes;
  const arrays = named(inputs, node.attributes);
  const at = (x: string, ...axes: number[]) => op('Unsqueeze', [x, builder.constant('i64', [axes.length], axes)]);
  const positions = op('Gather', [builder.cast(arrays.positions, 'i64'), rowAt], { attributes: { axis: 0 } });
  const query = at(positions, 2);
  const near = (seen: string, position: string) => {
    if (window === undefined) return seen;
    const inside = op('Less', [op('Sub', [query, position]), int(builder, window)]);
    const shown =
      keepFirst === undefined ? inside : op('Or', [inside, op('Less', [position, int(builder, keepFirst)])]);
    return op('And', [seen, shown]);
  };
  const key = at(positions, 1);
  const own = near(op('And', [op('LessOrEqual', [key, query]), at(hasRow, 1)]), key);
  if (!cache) return { own };
  const token = range(builder, int(builder, 0), builder.sizes([cache.maxLength]));
  const within = op('Less', [token, at(builder.cast(arrays.lengths!, 'i64'), 1)]);
  const shape = op('Concat', [op('Shape', [positions]), builder.sizes([cache.maxLength])], {
    attributes: { axis: 0 },
  });
  const cached = window === undefined ? op('Expand', [at(within, 1), shape]) : near(at(within, 1), token);
  return { own, cached, within };
}

/** What is added to the scores, f32 `[B, 1, L, S + L]`. */
function maskOf(builder: OnnxBuilder, seen: string): string {
  const [open, closed] = [builder.constant('f32', [], [0]), builder.constant('f32', [], [lowestScore])];
  return builder.op('Unsqueeze', [builder.op('Where', [seen, open, closed]), int(builder, 1)]);
}

/** `[B, C, n * width]` as rows `[B, C * n, width]`. */
function inRows(builder: OnnxBuilder, x: string, width: number): string {
  return builder.op('Reshape', [x, builder.constant('i64', [3], [0, -1, width])]);
}
