import {
  type Dim,
  dimsEqual,
  type OnnxBuilder,
  type OnnxLowering,
  subtractDims,
  type TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, type DenseSizes, extrasOf, type OptionalInput, sizesOf } from '../arguments.ts';
import { lowestSeenScore } from '../mask-value.ts';
import { either, finiteRows, isPositive, spoiled } from './finite-rows.onnx.ts';
import { fitsGroupedQuery, groupedQuery, meetsInGroupedQuery } from './grouped-query.onnx.ts';

/** What the Attention operator does not know; it also caps after it has masked, where a mask is no longer seen. */
const unknown: readonly OptionalInput[] = ['sinks', 'segments', 'dropoutKeys'];

/**
 * The runtime's GroupQueryAttention where it fits, else its Attention, with everything that is added to scores or masked as
 * one tensor.
 */
export const attentionOnnx: OnnxLowering<DenseAttributes> = {
  supports: (node) =>
    fitsGroupedQuery(node) ||
    (node.attributes.softcap === undefined && !node.attributes.extras.some((name) => unknown.includes(name))),
  emit(builder, inputs, node) {
    const sizes = sizesOf(node.inputs);
    const { B, L, S, H, K, D } = sizes;
    const flat = (input: number, length: typeof L, width: number) => {
      const rows = builder.reshape(inputs[input]!, [B, length, width]);
      return node.inputs[input]!.dtype === 'f32' ? rows : builder.cast(rows, 'f32');
    };
    const rows = [flat(0, L, H * D), flat(1, S, K * D), flat(2, S, K * D)] as const;
    const grouped = fitsGroupedQuery(node);
    const added = grouped ? undefined : addedScores(builder, inputs, node.attributes, sizes, node.inputs);
    const masks = added ? [added.scores] : [];
    const mixed = grouped || added?.seen !== undefined;
    const [keys, values] = [1, 2].map((i) =>
      mixed ? finiteRows(builder, rows[i]!, K, D) : { rows: rows[i]!, odd: '' },
    ) as [ReturnType<typeof finiteRows>, ReturnType<typeof finiteRows>];
    const out = grouped
      ? groupedQuery(builder, [rows[0], keys.rows, values.rows], inputs, node)
      : attentionOperator(builder, [rows[0], keys.rows, values.rows, ...masks], {
          L,
          H,
          K,
          scale: node.attributes.scale,
        });
    let result = builder.reshape(out, [B, L, H, D]);
    if (mixed) {
      const odd = headsOf(builder, either(builder, keys.odd, values.odd), sizes);
      const meets = added?.seen ? meetsOf(builder, added.seen, odd) : meetsInGroupedQuery(builder, odd, node);
      result = spoiled(builder, result, builder.op('Transpose', [meets], { attributes: { perm: [0, 2, 1, 3] } }));
    }
    if (added?.any) result = builder.op('Where', [added.any, result, builder.constant('f32', [], [0])]);
    return node.outputs[0]!.dtype === 'f32' ? result : builder.cast(result, node.outputs[0]!.dtype);
  },
};

/** f32 `[B, S, K]` as `[B, H, S, 1]`. */
function headsOf(builder: OnnxBuilder, odd: string, { B, S, H, K }: DenseSizes): string {
  const byKeyHead = builder.op('Transpose', [odd], { attributes: { perm: [0, 2, 1] } });
  const grouped = builder.op('Expand', [builder.reshape(byKeyHead, [B, K, 1, S]), builder.sizes([B, K, H / K, S])]);
  return builder.reshape(grouped, [B, H, S, 1]);
}

/** bool `[B, H, L, 1]`: whether a query sees a key that is odd. */
function meetsOf(builder: OnnxBuilder, seen: string, odd: string): string {
  return isPositive(builder, builder.op('MatMul', [seen, odd]));
}

/** Scales a single query itself: with a scale of its own the operator has a slower product of one (0.60 against 0.44 ms, 2,048 keys). */
function attentionOperator(
  builder: OnnxBuilder,
  [q, ...others]: readonly string[],
  { L, H, K, scale }: { readonly L: Dim; readonly H: number; readonly K: number; readonly scale: number },
): string {
  const apart = L === 1;
  const query = apart ? builder.op('Mul', [q!, builder.constant('f32', [], [scale])]) : q!;
  return builder.op('Attention', [query, ...others], {
    attributes: { scale: { float: apart ? 1 : scale }, q_num_heads: H, kv_num_heads: K },
  });
}

interface Added {
  /** f32 `[1 or B, 1 or H, L, S]`. */
  readonly scores: string;
  /** bool `[1 or B, L, 1 or H, 1]`: whether a query sees a key; undefined where every query does. */
  readonly any: string | undefined;
  /** f32, broadcasts to `[B, H, L, S]`, of full size in the last two: 1 where a key is seen; undefined where every one is. */
  readonly seen: string | undefined;
}

/** What is added to the scores: ALiBi and bias, and the lowest score where a key is not seen. */
function addedScores(
  builder: OnnxBuilder,
  inputs: readonly string[],
  attributes: DenseAttributes,
  { L, S, H }: DenseSizes,
  types: readonly TensorType[],
): Added | undefined {
  const op = builder.op.bind(builder);
  const { bias, slopes } = extrasOf(inputs, attributes);
  const back = distanceBack(builder, L, S);
  const seen = seenKeys(builder, inputs, attributes, back, S, types);
  const terms: string[] = [];
  if (slopes) {
    const distance = builder.cast(op('Neg', [op('Abs', [back])]), 'f32');
    terms.push(op('Mul', [distance, op('Reshape', [slopes, builder.constant('i64', [4], [1, H, 1, 1])])]));
  }
  if (bias) {
    const f32 = extrasOf(types, attributes).bias!.dtype === 'f32' ? bias : builder.cast(bias, 'f32');
    // the operator takes the lowest f32 for a mask, but finite scores count
    terms.push(op('Max', [f32, builder.constant('f32', [], [lowestSeenScore])]));
  }
  const sum = terms.length === 0 ? undefined : terms.reduce((a, b) => op('Add', [a, b]));
  if (!seen && !sum) return undefined;
  const plain = sum ?? builder.constant('f32', [], [0]);
  const scores = seen ? op('Where', [seen, plain, builder.constant('f32', [], [-Infinity])]) : plain;
  // the operator wants query and key axes of full size
  const full = (x: string) => op('Expand', [x, builder.sizes([1, 1, L, S])]);
  return {
    scores: full(scores),
    any: seen && !everyQuerySees(attributes, L, S) ? anySeen(builder, seen, L) : undefined,
    seen: seen && full(builder.cast(seen, 'f32')),
  };
}

/** i64 `[L, S]`: how many positions a key lies before a query. */
function distanceBack(builder: OnnxBuilder, L: Dim, S: Dim): string {
  const range = (size: Dim) =>
    builder.op('Range', [
      builder.constant('i64', [], [0]),
      builder.op('Squeeze', [builder.sizes([size])]),
      builder.constant('i64', [], [1]),
    ]);
  const position = builder.op('Add', [range(L), builder.sizes([subtractDims(S, L)])]);
  const column = builder.op('Unsqueeze', [position, builder.constant('i64', [1], [1])]);
  return builder.op('Sub', [column, range(S)]);
}

/** bool, broadcasts to `[B, H, L, S]`; undefined where every key is seen. */
function seenKeys(
  builder: OnnxBuilder,
  inputs: readonly string[],
  attributes: DenseAttributes,
  back: string,
  S: Dim,
  types: readonly TensorType[],
): string | undefined {
  const op = builder.op.bind(builder);
  const int = (value: number) => builder.constant('i64', [], [value]);
  const { causal, window, keepFirst } = attributes;
  const { mask, keyLengths, bias } = extrasOf(inputs, attributes);
  const key = () => op('Range', [int(0), op('Squeeze', [builder.sizes([S])]), int(1)]);
  const rules: string[] = [];
  if (causal) rules.push(op('GreaterOrEqual', [back, int(0)]));
  if (window !== undefined) {
    const near = op('Less', [back, int(window)]);
    rules.push(keepFirst === undefined ? near : op('Or', [near, op('Less', [key(), int(keepFirst)])]));
  }
  if (keyLengths) {
    const lengths = op('Reshape', [builder.cast(keyLengths, 'i64'), builder.constant('i64', [4], [-1, 1, 1, 1])]);
    rules.push(op('Less', [key(), lengths]));
  }
  if (mask) rules.push(mask);
  if (bias) {
    const f32 = extrasOf(types, attributes).bias!.dtype === 'f32' ? bias : builder.cast(bias, 'f32');
    rules.push(op('Not', [op('Equal', [f32, builder.constant('f32', [], [-Infinity])])]));
  }
  return rules.length === 0 ? undefined : rules.reduce((a, b) => op('And', [a, b]));
}

/** Whether a query sees at least itself whatever the sizes of the run are. */
function everyQuerySees({ extras }: DenseAttributes, L: Dim, S: Dim): boolean {
  const hasKey = dimsEqual(L, S) || (typeof L === 'number' && typeof S === 'number' && L <= S);
  return hasKey && !(['mask', 'keyLengths', 'bias'] as const).some((name) => extras.includes(name));
}

function anySeen(builder: OnnxBuilder, seen: string, L: Dim): string {
  const op = builder.op.bind(builder);
  const full = op('Expand', [builder.cast(seen, 'f32'), builder.sizes([1, 1, L, 1])]);
  const some = op('ReduceMax', [full, builder.constant('i64', [1], [3])], { attributes: { keepdims: 1 } });
  const rows = op('Transpose', [some], { attributes: { perm: [0, 2, 1, 3] } });
  return op('Greater', [rows, builder.constant('f32', [], [0])]);
}
