import { type KernelBuffer, type KernelCall, type KernelContext, multiplyDims } from '@heddle/tensor';
import { f32, forwardKeys, forwardQueries, forwardTile, lowest, seenScore } from '../../tiles/flash-tile.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import type { PackedAttributes } from '../packed-attention.ts';
import { packedNames, pageText, slotText } from './page-table.wgsl.ts';

/**
 * Many rows: a workgroup takes neighbouring rows of one key-value head's group, first over what the cache held of each
 * sequence among them, then over the step's own rows, of which it passes over tiles without a row of these sequences.
 */
export function packedPrefill({ inputs, attributes }: KernelContext<PackedAttributes>): KernelCall {
  const { window, cache } = attributes;
  const [T, H, D] = [inputs[0]!.shape[0]!, inputs[0]!.shape[1] as number, inputs[0]!.shape[2] as number];
  const K = inputs[1]!.shape[1] as number;
  const G = H / K;
  const tile = forwardTile(D);
  const vector = headVector(D);
  const names = packedNames(inputs);
  const buffers = inputs.map(
    (_, input): KernelBuffer => ({
      name: names[input]!,
      input,
      ...(['q', 'k', 'v', 'keys', 'values'].includes(names[input]!) ? { vector } : {}),
    }),
  );
  const load = (own: string, pool: string) =>
    cache
      ? `if (from_cache) { return ${loadHead4(pool, 'slot_of(min(key, key_end - 1u)) * K + kv_head', 'c', D)}; }
  return ${loadHead4(own, 'min(key, params.T - 1u) * K + kv_head', 'c', D)};`
      : `return ${loadHead4(own, 'min(key, params.T - 1u) * K + kv_head', 'c', D)};`;
  return {
    label: 'packedAttention',
    buffers: [...buffers, { name: 'out', output: 0, vector }],
    parameters: { T, ...(cache ? { N: inputs[7]!.shape[1]!, block_size: cache.blockSize } : {}) },
    body: `
const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
// the keys that are being taken: cached ones of a sequence up to key_end, or the step's own
var<private> from_cache: bool;
var<private> sequence: i32;
var<private> key_end: u32;
${tile.declarations}
${cache ? `${slotText(cache.blockSize)}\n${pageText(inputs, attributes)}` : ''}
${packedScores(attributes)}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4('q', 'query / G * H + kv_head * G + query % G', 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> {
  ${load('k', 'keys')}
}
fn load_value4(key: u32, c: u32) -> vec4<f32> {
  ${load('v', 'values')}
}
fn first_maximum(query: u32) -> f32 { return ${lowest}; }
fn first_sum(query: u32) -> f32 { return 0.0; }
fn store4(query: u32, c: u32, value: vec4<f32>) { ${storeHead4('out', 'query / G * H + kv_head * G + query % G', 'c', 'value', D)} }
fn store_lse(query: u32, value: f32) { }

/** Whether a row before this one, from row_first on, is of its sequence. */
fn met_before(row: u32, row_first: u32) -> bool {
  for (var r = row_first; r < row; r++) { if (segments_at(r) == segments_at(row)) { return true; } }
  return false;
}

@compute @workgroup_size(256)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(local_invocation_index) local: u32) {
  kv_head = w.y;
  let query_count = params.T * G;
  let query_first = w.x * ${forwardQueries}u;
  let row_first = query_first / G;
  let row_end = min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G + 1u;
  ${tile.begin}
  var lowest_segment = segments_at(row_first);
  var highest_segment = lowest_segment;
  var lowest_position = positions_at(row_first);
  var highest_position = lowest_position;
  for (var row = row_first + 1u; row < row_end; row++) {
    lowest_segment = min(lowest_segment, segments_at(row));
    highest_segment = max(highest_segment, segments_at(row));
    lowest_position = min(lowest_position, positions_at(row));
    highest_position = max(highest_position, positions_at(row));
  }

  // one loop over both kinds of keys, so that its text is there once
  var row = row_first;
  var cached = ${cache ? 'true' : 'false'};
  var next = 0u;
  var opened = false;
  loop {
    var found = false;
    var key_first = next;
    if (cached) {
      ${cache ? cachedStep(window) : ''}
    } else {
      if (next >= params.T) { break; }
      for (var u = next; u < min(next + ${forwardKeys}u, params.T); u++) {
        let segment = segments_at(u);
        let position = positions_at(u);
        if (segment >= max(lowest_segment, 0) && segment <= highest_segment && position <= highest_position${window === undefined ? '' : ` && lowest_position - position < ${window}`}) {
          found = true;
          break;
        }
      }
      next += ${forwardKeys}u;
    }
    if (found) ${tile.tile}
  }
  ${tile.finish}
}`,
    workgroups: (size) => [Math.ceil(size(multiplyDims(T, G)) / forwardQueries), K, 1],
  };
}

/** Moves to the next tile of cached keys, of the row's sequence or of the next row's; at the end to the step's own rows. */
const cachedStep = (window: number | undefined) => `
      if (!opened) {
        // a sequence is taken at its first row
        if (row < row_end && segments_at(row) >= 0 && !met_before(row, row_first)) {
          opened = true;
          from_cache = true;
          sequence = segments_at(row);
          next = ${window === undefined ? '0u' : `u32(max(lowest_position - ${window - 1}, 0))`};
        } else if (row >= row_end) {
          cached = false;
          from_cache = false;
          next = 0u;
        } else {
          row++;
        }
      } else if (next < u32(max(lengths_at(u32(segments_at(row))), 0))) {
        key_end = u32(lengths_at(u32(segments_at(row))));
        key_first = next;
        next += ${forwardKeys}u;
        found = true;
      } else {
        opened = false;
        row++;
      }`;

/** WGSL of `Query`, `query_of` and `adjust` of packed attention. */
function packedScores({ scale, window, softcap, cache }: PackedAttributes): string {
  const near = (position: string) => (window === undefined ? '' : ` && query.position - ${position} < ${window}`);
  return `
struct Query { segment: i32, position: i32 }
fn query_of(query: u32) -> Query { return Query(segments_at(query / G), positions_at(query / G)); }
fn sees(query: Query, key: u32) -> bool {
  ${cache ? `if (from_cache) { return query.segment == sequence && key < key_end${near('i32(key)')}; }` : ''}
  if (key >= params.T || query.segment < 0) { return false; }
  let position = positions_at(key);
  return segments_at(key) == query.segment && position <= query.position${near('position')};
}
fn adjust(product: f32, query: Query, key: u32) -> f32 {
  let score = product * ${f32(scale)};
  return ${seenScore(softcap === undefined ? 'score' : `${f32(softcap)} * safe_tanh(score / ${f32(softcap)})`, 'sees(query, key)')};
}`;
}
