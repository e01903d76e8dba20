import type { Node, OnnxBuilder } from '@heddle/tensor';
import { lowestScore } from '../../dense/mask-value.ts';
import { named, type PackedAttributes, type PackedInput, packedSizes } from '../attributes.ts';
import { chunkSizeOf, gatherRows, greatestDivisor, int, placesOf, range, toF32 } from './page-table.onnx.ts';

/** Whether a step is known to be one row of one sequence with a cache. */
export function isOneRow({ inputs, attributes }: Node<PackedAttributes>): boolean {
  const { q, lengths } = named(inputs, attributes);
  return lengths !== undefined && q.shape[0] === 1 && lengths.shape[0] === 1;
}

/**
 * Products with the cached rows as they are gathered, `[S, K, D]`, and with the step's own row apart: joining both for the
 * Attention operator copies every row once more (with it 0.95 ms, without it 0.65 ms: 2,048 keys, 32 heads to 8 of 64).
 */
export function oneRow(builder: OnnxBuilder, inputs: readonly string[], node: Node<PackedAttributes>): string {
  const op = builder.op.bind(builder);
  const { dtype, shape } = node.outputs[0]!;
  const { H, K, D } = packedSizes(node.inputs, node.attributes);
  const { scale, cache } = node.attributes;
  const [arrays, types] = [named(inputs, node.attributes), named(node.inputs, node.attributes)];
  const own = (input: PackedInput) => toF32(builder, arrays[input]!, types[input]!);
  const [ownKeys, ownValues] = [builder.reshape(own('k'), [K, 1, D]), builder.reshape(own('v'), [K, 1, D])];
  const { places, size } = tokensOf(builder, inputs, node);
  const cached = (input: PackedInput) => {
    const rows = gatherRows(builder, arrays[input]!, places, size * K * D);
    return builder.reshape(toF32(builder, rows, types[input]!), [cache!.maxLength, K, D]);
  };
  /** Of each key-value head; the cached rows' heads are their second axis. */
  const product = (a: string, rows: string, attributes: Readonly<Record<string, number>>) =>
    op('FusedMatMul', [a, rows], { domain: 'com.microsoft', attributes });
  const along = { attributes: { axis: 2 } };

  // a product right behind would take the scale for itself, and be a slower one where H = K
  const query = builder.reshape(op('Mul', [own('q'), builder.constant('f32', [], [scale])]), [K, H / K, D]);
  // slots that the row does not see may hold anything
  const seen = seenTokens(builder, inputs, node);
  const lowest = builder.constant('f32', [], [lowestScore]);
  const before = op('Where', [seen, product(query, cached('keys'), { transB: 1, transBatchB: 1 }), lowest]);
  const seenRows = (rows: string) =>
    op('Where', [
      op('Unsqueeze', [seen, builder.constant('i64', [2], [1, 2])]),
      rows,
      builder.constant('f32', [], [0]),
    ]);
  const scores = op('Concat', [before, product(query, ownKeys, { transB: 1 })], along);
  const weights = op('Softmax', [scores], along);
  const parts = builder.sizes([cache!.maxLength, 1]);
  const [ofCached, ofOwn] = builder.opWithOutputs('Split', [weights, parts], 2, along) as [string, string];
  const sum = op('Add', [
    product(ofCached, seenRows(cached('values')), { transBatchB: 1 }),
    op('Mul', [ofOwn, ownValues]),
  ]);

  const belongs = op('GreaterOrEqual', [arrays.segments, builder.constant('i32', [1], [0])]);
  const result = builder.reshape(op('Where', [belongs, sum, builder.constant('f32', [], [0])]), shape);
  return dtype === 'f32' ? result : builder.cast(result, dtype);
}

/** i64 `[1, S / size]`: where the cached tokens are, in groups of `size`. */
function tokensOf(
  builder: OnnxBuilder,
  inputs: readonly string[],
  node: Node<PackedAttributes>,
): { readonly places: string; readonly size: number } {
  const { maxLength } = node.attributes.cache!;
  const size = typeof maxLength === 'number' ? greatestDivisor(chunkSizeOf(node), maxLength) : 1;
  const end = builder.op('Div', [builder.sizes([maxLength]), int(builder, size)]);
  return { places: placesOf(builder, inputs, node, { first: int(builder, 0), end, size }), size };
}

/** bool `[S]`: which cached tokens are seen. */
function seenTokens(builder: OnnxBuilder, inputs: readonly string[], { attributes }: Node<PackedAttributes>): string {
  const op = builder.op.bind(builder);
  const token = range(builder, int(builder, 0), builder.sizes([attributes.cache!.maxLength]));
  const { lengths, positions } = named(inputs, attributes);
  const { window, keepFirst } = attributes;
  const within = op('Less', [token, builder.cast(lengths!, 'i64')]);
  if (window === undefined) return within;
  const back = op('Sub', [builder.cast(positions, 'i64'), token]);
  const near = op('Less', [back, int(builder, window)]);
  const shown = keepFirst === undefined ? near : op('Or', [near, op('Less', [token, int(builder, keepFirst)])]);
  return op('And', [within, shown]);
}
