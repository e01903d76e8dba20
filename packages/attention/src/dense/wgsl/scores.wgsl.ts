import type { Dim, KernelNames, Shape } from '@heddle/tensor';
import type { FunctionsInKernel } from '../../flex/emit.wgsl.ts';
import { f32, isSeenScore, lowest, seenScore } from '../../tiles/score.wgsl.ts';
import { type DenseAttributes, extrasOf, sizesOf } from '../arguments.ts';
import { dropoutText } from '../dropout.ts';
import { segmentHull, segmentText } from './segments.wgsl.ts';

/**
 * WGSL of the keys that queries from row `first` to row `last` may see: `key_begin` and `key_end`; with dropout `key_begin` is a
 * multiple of four. All `threads` invocations of a workgroup take part.
 */
export function keyRange(
  names: KernelNames,
  { causal, window, keepFirst, extras, dropout }: DenseAttributes,
  last: string,
  first: string,
  threads = 256,
): string {
  const { at, size } = names;
  const offset = `i32(${size.S}) - i32(${size.L})`;
  const ends = [
    `i32(${size.S})`,
    ...(causal ? [`i32(${last}) + ${offset} + 1`] : []),
    ...(extras.includes('keyLengths') ? [`${at.keyLengths}(w.z)`] : []),
  ];
  const end = ends.reduce((a, b) => `min(${a}, ${b})`);
  const begin = window === undefined || keepFirst !== undefined ? '0' : `i32(${first}) + ${offset} - ${window - 1}`;
  const range = `var key_end = u32(max(${end}, 0));
  var key_begin = u32(max(${begin}, 0));`;
  const own = { kind: 'row', begin: first, end: `(${last} + 1u)` } as const;
  const others = { kind: 'key', begin: 'key_begin', end: 'key_end' } as const;
  const narrowed = extras.includes('segments')
    ? `${segmentHull(names, own, others, threads)}
  key_begin = bounds.x;
  key_end = bounds.y;`
    : '';
  return `${range}${narrowed}${dropout ? '\n  key_begin &= 0xfffffffcu;' : ''}`;
}

/**
 * WGSL of the rows that may see the keys from `key_first` on, as many as `keys`: `row_begin` and `row_end`. All `threads`
 * invocations of a workgroup take part.
 */
export function rowRange(
  names: KernelNames,
  { causal, window, keepFirst, extras }: DenseAttributes,
  key_first: string,
  keys: number,
  threads = 256,
): string {
  const { size } = names;
  const offset = `i32(${size.S}) - i32(${size.L})`;
  const keyEnd = `min(${key_first} + ${keys}u, ${size.S})`;
  const begin = causal ? `max(i32(${key_first}) - (${offset}), 0)` : '0';
  const end =
    window === undefined || keepFirst !== undefined
      ? `i32(${size.L})`
      : `min(i32(${size.L}), i32(${keyEnd}) - 1 - (${offset}) + ${window})`;
  const own = { kind: 'key', begin: key_first, end: keyEnd } as const;
  const narrowed = extras.includes('segments')
    ? `${segmentHull(names, own, { kind: 'row', begin: 'row_begin', end: 'row_end' }, threads)}
  row_begin = bounds.x;
  row_end = bounds.y;`
    : '';
  return `var row_begin = u32(${begin});
  var row_end = u32(max(${end}, 0));${narrowed}`;
}

/**
 * WGSL of a query's highest score with the logarithm of its sum, and of its delta, by its place, where all are in `statistics`
 * (see `backward.ts`).
 */
export const statisticsText = ({ at, size }: KernelNames): string => `
fn softmax_at(place: u32) -> vec2<f32> { return vec2<f32>(${at.statistics}(place), ${at.statistics}(${size.B} * H * ${size.L} + place)); }
fn delta_at(place: u32) -> f32 { return ${at.statistics}(2u * ${size.B} * H * ${size.L} + place); }`;

/**
 * WGSL of a score's probability by its query's highest score and the logarithm of its sum, 0 where the key is not seen; and of what a probability makes of a
 * gradient: of a key that is not seen nothing, whatever the gradient is.
 */
export const probabilityText: string = `
fn probability(product: f32, query: Query, key: u32, softmax: vec2<f32>) -> f32 {
  let score = adjust(product, query, key);
  return select(0.0, exp((score - softmax.x) - softmax.y), ${isSeenScore('score')} & (softmax.x != ${lowest}));
}
fn share(probability: f32, gradient: f32) -> f32 {
  return select(0.0, probability * gradient, probability != 0.0);
}`;

/**
 * WGSL of `Query`, `query_of`, `score_of` and `adjust` (the score of a key that is seen, the lowest of others) of dense attention,
 * and, where scores have a slope (see `hasSlope`), of `score_and_slope_of` and `adjust_and_slope` with it; uses `batch`, `kv_head`, H
 * and G.
 */
export function denseScores(
  names: KernelNames,
  inputs: Parameters<typeof sizesOf>[0],
  attributes: DenseAttributes,
  functions?: FunctionsInKernel,
): string {
  const { at, size, prelude } = names;
  const { scale, softcap, causal, window, keepFirst, dropout } = attributes;
  const { bias, mask, keyLengths, slopes, segments } = extrasOf(inputs, attributes);
  const { B, L, S, H } = sizesOf(inputs);
  const placeIn = (shape: Shape) =>
    broadcastPlace(names, shape, [B, H, L, S], ['batch', 'query.head', 'query.row', 'key']);
  /** With what depends on the place. */
  const placed = (score: string) =>
    [
      score,
      ...(slopes ? [`- ${at.slopes}(query.head) * f32(abs(query.position - i32(key)))`] : []),
      ...(bias ? [`+ ${at.bias}(${placeIn(bias.shape)})`] : []),
    ].join(' ');
  const rules = [`(place < ${size.S})`];
  if (causal) rules.push('(back >= 0)');
  if (window !== undefined)
    rules.push(keepFirst === undefined ? `(back < ${window})` : `((back < ${window}) | (key < ${keepFirst}u))`);
  if (keyLengths) rules.push(`(i32(key) < ${at.keyLengths}(batch))`);
  if (segments) rules.push('(segment_of_key(key) == query.segment)', '(query.segment >= 0)');
  // also where the product is not finite
  if (bias) rules.push(`!(${at.bias}(${placeIn(bias.shape)}) < ${lowest})`);
  if (mask) rules.push(`(${at.mask}(${placeIn(mask.shape)}) != 0u)`);
  if (functions?.traced.mask) rules.push('mask_mod(query, key)');
  return `
struct Query { row: u32, head: u32, position: i32${segments ? ', segment: i32' : ''} }
${segments ? segmentText(names) : ''}
fn query_of(query: u32) -> Query {
  let row = query / G;
  return Query(row, kv_head * G + query % G, i32(row) + i32(${size.S}) - i32(${size.L})${segments ? ', segment_of_row(row)' : ''});
}
${functions?.text(names) ?? ''}
${dropout ? dropoutText(names, dropout) : ''}
// without branches: these are inlined many times, and some compilers take minutes over that many paths
fn unmodified(product: f32, query: Query, key: u32) -> f32 {
  return ${placed(softcap === undefined ? `product * ${f32(scale)}` : `${f32(softcap)} * ${prelude.safe_tanh}(product * ${f32(scale / softcap)})`)};
}
fn score_of(product: f32, query: Query, key: u32) -> f32 {
  return ${functions?.traced.score ? 'score_mod(unmodified(product, query, key), query, key)' : 'unmodified(product, query, key)'};
}
// where a tile's places say that all is seen
fn score_of_seen(product: f32, query: Query, key: u32) -> f32 {
  return ${functions?.traced.score ? seenScore('score_of(product, query, key)', 'true') : 'score_of(product, query, key)'};
}
fn is_seen(query: Query, key: u32, place: u32) -> bool {
  let back = query.position - i32(key);
  return ${rules.join(' & ')};
}
fn adjust(product: f32, query: Query, place: u32) -> f32 {
  let key = min(place, ${size.S} - 1u);
  return ${seenScore('score_of(product, query, key)', 'is_seen(query, key, place)')};
}
${hasSlope(attributes, functions) ? slopeText(names, attributes, placed, functions) : ''}`;
}

/** Whether it follows from the places of a tile alone, or from its blocks, that its queries see all of its keys. */
export function seenByPlace(
  { keepFirst, extras }: DenseAttributes,
  functions: FunctionsInKernel | undefined,
  hasBlocks: boolean,
): boolean {
  const byMask = functions?.traced.mask && !hasBlocks;
  return (
    keepFirst === undefined && !byMask && !['mask', 'segments', 'bias'].some((name) => extras.includes(name as 'mask'))
  );
}

/** Whether scores are anything else than products times the scale. */
export function isRescored({ softcap, extras }: DenseAttributes, functions: FunctionsInKernel | undefined): boolean {
  const modified = softcap !== undefined || functions?.traced.score !== undefined;
  return modified || extras.includes('bias') || extras.includes('slopes');
}

/** Whether a score changes by something else than one where the scaled product changes by one. */
export function hasSlope({ softcap }: DenseAttributes, functions?: FunctionsInKernel): boolean {
  return softcap !== undefined || functions?.traced.slopes !== undefined;
}

/** WGSL of a score together with what it changes by where the scaled product changes by one. */
function slopeText(
  { size, prelude }: KernelNames,
  { scale, softcap }: DenseAttributes,
  placed: (score: string) => string,
  functions: FunctionsInKernel | undefined,
): string {
  const plain =
    softcap === undefined
      ? `let both = vec2<f32>(${placed(`product * ${f32(scale)}`)}, 1.0);`
      : `let t = ${prelude.safe_tanh}(product * ${f32(scale / softcap)});
  let both = vec2<f32>(${placed(`${f32(softcap)} * t`)}, 1.0 - t * t);`;
  const { score, slopes } = functions?.traced ?? {};
  const modified = slopes
    ? 'vec2<f32>(1.0, both.y) * score_and_slope(both.x, query, key)'
    : score
      ? 'vec2<f32>(score_mod(both.x, query, key), both.y)'
      : 'both';
  return `
fn score_and_slope_of(product: f32, query: Query, key: u32) -> vec2<f32> {
  ${plain}
  return ${modified};
}
fn score_and_slope_of_seen(product: f32, query: Query, key: u32) -> vec2<f32> {
  let both = score_and_slope_of(product, query, key);
  return ${score ? `vec2<f32>(${seenScore('both.x', 'true')}, both.y)` : 'both'};
}
// whatever a score function makes of a key that is not seen, nothing comes of it
fn adjust_and_slope(product: f32, query: Query, place: u32) -> vec2<f32> {
  let key = min(place, ${size.S} - 1u);
  let both = score_and_slope_of(product, query, key);
  let score = ${seenScore('both.x', 'is_seen(query, key, place)')};
  return vec2<f32>(score, select(0.0, both.y, ${isSeenScore('score')}));
}`;
}

/** The position in a tensor of `shape` of the value that broadcasts to `coordinates` of `full`. */
export function broadcastPlace(
  { size }: KernelNames,
  shape: Shape,
  full: readonly Dim[],
  coordinates: readonly string[],
): string {
  const sizes = [size.B, 'H', size.L, size.S];
  let place = '0u';
  shape.forEach((dim, i) => {
    const axis = full.length - shape.length + i;
    if (dim !== 1) place = place === '0u' ? coordinates[axis]! : `((${place}) * ${sizes[axis]} + ${coordinates[axis]})`;
  });
  return place;
}
