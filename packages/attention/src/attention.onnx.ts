import {
  type Dim,
  dimsEqual,
  type OnnxBuilder,
  type OnnxLowering,
  subtractDims,
  type TensorType,
} from '@heddle/tensor';
import { type DenseAttributes, type DenseSizes, extrasOf, type OptionalInput, sizesOf } from './dense-arguments.ts';
import { fitsGroupedQuery, groupedQuery } from './grouped-query.onnx.ts';
import { lowestScore } from './lowest-score.ts';

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
    const out = grouped
      ? groupedQuery(builder, rows, inputs, node)
      : attentionOperator(builder, [...rows, ...masks], { L, H, K, scale: node.attributes.scale });
    const shaped = builder.reshape(out, [B, L, H, D]);
    const zeroed = added?.any ? builder.op('Where', [added.any, shaped, builder.constant('f32', [], [0])]) : shaped;
    return node.outputs[0]!.dtype === 'f32' ? zeroed : builder.cast(zeroed, node.outputs[0]!.dtype);
  },
};

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
  const seen = seenKeys(builder, inputs, attributes, back, S);
  const terms: string[] = [];
  if (slopes) {
    const distance = builder.cast(op('Neg', [op('Abs', [back])]), 'f32');
    terms.push(op('Mul', [distance, op('Reshape', [slopes, builder.constant('i64', [4], [1, H, 1, 1])])]));
  }
  if (bias) terms.push(extrasOf(types, attributes).bias!.dtype === 'f32' ? bias : builder.cast(bias, 'f32'));
  const sum = terms.length === 0 ? undefined : terms.reduce((a, b) => op('Add', [a, b]));
  if (!seen && !sum) return undefined;
  const plain = sum ?? builder.constant('f32', [], [0]);
  const scores = seen ? op('Where', [seen, plain, builder.constant('f32', [], [lowestScore])]) : plain;
  // the operator wants query and key axes of full size
  const full = op('Expand', [scores, builder.sizes([1, 1, L, S])]);
  return { scores: full, any: seen && !everyQuerySees(attributes, L, S) ? anySeen(builder, seen, L) : undefined };
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
): string | undefined {
  const op = builder.op.bind(builder);
  const int = (value: number) => builder.constant('i64', [], [value]);
  const { causal, window, keepFirst } = attributes;
  const { mask, keyLengths } = extrasOf(inputs, attributes);
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
  return rules.length === 0 ? undefined : rules.reduce((a, b) => op('And', [a, b]));
}

/** Whether a query sees at least itself whatever the sizes of the run are. */
function everyQuerySees({ extras }: DenseAttributes, L: Dim, S: Dim): boolean {
  const hasKey = dimsEqual(L, S) || (typeof L === 'number' && typeof S === 'number' && L <= S);
  return hasKey && !extras.includes('mask') && !extras.includes('keyLengths');
}

function anySeen(builder: OnnxBuilder, seen: string, L: Dim): string {
  const op = builder.op.bind(builder);
  const full = op('Expand', [builder.cast(seen, 'f32'), builder.sizes([1, 1, L, 1])]);
  const some = op('ReduceMax', [full, builder.constant('i64', [1], [3])], { attributes: { keepdims: 1 } });
  const rows = op('Transpose', [some], { attributes: { perm: [0, 2, 1, 3] } });
  return op('Greater', [rows, builder.constant('f32', [], [0])]);
}
