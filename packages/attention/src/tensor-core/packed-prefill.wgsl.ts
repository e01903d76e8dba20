import type { MatrixFragment } from '@heddle/tensor';
import { type KernelCall, type KernelNames, multiplyDims } from '@heddle/tensor';
import { named, type PackedAttributes, packedSizes, settingsOf } from '../paged/attributes.ts';
import { packedBuffers } from '../paged/wgsl/buffers.wgsl.ts';
import { slotText } from '../paged/wgsl/page-table.wgsl.ts';
import { type PackedContext, placeSizes } from '../paged/wgsl/score-functions.wgsl.ts';
import { packedScoreText, placedElsewhere, scoreIn } from '../paged/wgsl/scores.wgsl.ts';
import { gridOf, gridPlace, subgroupBuiltins } from '../tiles/grid.wgsl.ts';
import { f32, lowest, scoreText, seenScore } from '../tiles/score.wgsl.ts';
import { forwardText } from './forward.wgsl.ts';
import { type ForwardTile, forwardMemory, forwardSizes } from './forward-tile.ts';
import { fragmentOf } from './mma-shape.ts';
import { forwardTileFor } from './tiles.ts';

/** Many rows by subgroup matrices; undefined where they cannot compute this, and the kernel for all adapters does. */
export function packedPrefillByMatrix(context: PackedContext): KernelCall | undefined {
  const { inputs, attributes, capabilities } = context;
  if (settingsOf(inputs, attributes).includes('valueDim')) return undefined;
  const { q, k, v, keys, values } = named(inputs, attributes);
  const heads = [q, k, v!, ...(keys ? [keys, values!] : [])];
  const fragment = fragmentOf(heads, capabilities);
  const tile = fragment && forwardTileFor(fragment, q.shape[2] as number, capabilities);
  return tile && packedPrefillMatrix(context, fragment, tile);
}

/**
 * A workgroup takes neighbouring rows of one key-value head's group, as `../packed-prefill.wgsl.ts`: first what the cache held
 * of each sequence among them, then the step's own rows.
 */
function packedPrefillMatrix(
  { inputs, attributes, functions: own }: PackedContext,
  fragment: MatrixFragment,
  tile: ForwardTile,
): KernelCall {
  const { scale, softcap, cache, lse } = attributes;
  const { T, H, K, G, D } = packedSizes(inputs, attributes);
  const { queries, threads } = forwardSizes(tile, fragment);
  const buffers = packedBuffers(inputs, attributes, (name) => (halfRows.includes(name) ? 8 : undefined));
  return {
    label: 'packedAttention.matrix',
    buffers: [...buffers, { name: 'out', output: 0, vector: 4 }, ...(lse ? [{ name: 'lse', output: 1 }] : [])],
    parameters: {
      T,
      ...(cache ? { N: named(inputs, attributes).table!.shape[1]!, block_size: cache.blockSize } : {}),
      ...placeSizes({ inputs, attributes, functions: own }),
    },
    requires: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    threads: threads,
    builtins: subgroupBuiltins,
    workgroup: forwardMemory(D, tile, fragment),
    write: (names) => {
      const { array, at, set, set4, size } = names;
      const { score: scored, seen } = scoreIn(own);
      const place = (key: string) => `place_of(query, ${key}, tile)`;
      const isRescored = softcap !== undefined || own?.traced.score !== undefined;
      const changed = (product: string, key: string) => {
        const score = scored(product, place(key));
        // what a function makes minus infinity is not seen
        return own?.traced.score ? seenScore(score, 'true') : score;
      };
      const advance = advanceText(names, attributes, tile.keys, fragment.lanes);
      const { begin, loop, finish } = forwardText(names, D, tile, fragment, {
        queryHead: (id) => head(`min(${id}, query_count - 1u)`),
        keyHead: (of, x) => `head_of(${of}, ${x})`,
        fetch: (of, from) =>
          cache
            ? `if (${of}.cached) { ${from(array.keys!, array.values!)} } else { ${from(array.k!, array.v!)} }`
            : from(array.k!, array.v!),
        advance,
        free: own?.traced.mask ? 'false' : 'all_seen',
        // a function hides keys wherever it likes
        allFree: own ? 'false' : 'all_seen',
        ...(isRescored ? { change: changed } : {}),
        adjust: (product, key) => `adjust(${product}, query, ${key}, tile)`,
        scale,
        first: attributes.inputs.includes('sinks')
          ? [
              `first_logit(${headOf('min(query_id, query_count - 1u)')})${isRescored ? '' : ` * ${f32(Math.LOG2E)}`}`,
              'first_weight()',
            ]
          : [lowest, '0.0'],
        storeSoftmax: (top, logSum) =>
          lse ? `if (query_id < query_count) { ${set.lse}(${head('query_id')}, ${top} + ${logSum}); }` : '',
        store4: (column, value) =>
          `if (query_id < query_count) { ${set4.out}((${head('query_id')}) * ${D / 4}u + ${column}, ${value}); }`,
      });
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
var<private> sequence: i32;
/** Keys of a sequence in the cache up to \`end\`, or the step's own. */
struct Tile { first: u32, end: u32, sequence: i32, cached: bool }
struct Query { segment: i32, position: i32${own ? ', row: u32, head: u32' : ''} }
${scoreText}
${cache ? slotText(names, cache.blockSize) : ''}
${packedScoreText(names, attributes, own)}
fn head_of(tile: Tile, x: u32) -> u32 {
  ${cache ? `if (tile.cached) { sequence = tile.sequence; return slot_of(min(tile.first + x, tile.end - 1u)) * K + kv_head; }` : ''}
  return min(tile.first + x, ${size.T} - 1u) * K + kv_head;
}
fn sees(query: Query, key: u32, tile: Tile) -> bool {
  ${cache ? `if (tile.cached) { sequence = tile.sequence; return (query.segment == tile.sequence) & (key < tile.end) & is_near(query.position, cached_position(min(key, tile.end - 1u))); }` : ''}
  let own = min(key, ${size.T} - 1u);
  let position = ${at.positions}(own);
  return (key < ${size.T}) & (query.segment >= 0) & (${at.segments}(own) == query.segment) & (position <= query.position) & is_near(query.position, position);
}
${own ? placeOfText(size.T!, cache !== undefined) : ''}fn adjust(product: f32, query: Query, key: u32, tile: Tile) -> f32 {
  return ${seenScore(scored('product', place('key')), seen('sees(query, key, tile)', place('key')))};
}
/** Whether a row before this one, from row_first on, is of its sequence. */
fn met_before(row: u32, row_first: u32) -> bool {
  for (var r = row_first; r < row; r++) { if (${at.segments}(r) == ${at.segments}(row)) { return true; } }
  return false;
}`;
      const main = `  ${gridPlace(`(${size.T} * G + ${queries - 1}u) / ${queries}u`, K, '1u')}
  kv_head = w.y;
  let query_count = ${size.T} * G;
  let query_first = w.x * ${queries}u;
  let row_first = query_first / G;
  let row_end = min(query_first + ${queries - 1}u, query_count - 1u) / G + 1u;
  ${begin}
  let query_row = min(query_id, query_count - 1u) / G;
  let query = Query(${at.segments}(query_row), ${at.positions}(query_row)${own ? `, query_row, ${headOf('min(query_id, query_count - 1u)')}` : ''});
  var lowest_segment = ${at.segments}(row_first);
  var highest_segment = lowest_segment;
  var lowest_position = ${at.positions}(row_first);
  var highest_position = lowest_position;
  for (var row = row_first + 1u; row < row_end; row++) {
    lowest_segment = min(lowest_segment, ${at.segments}(row));
    highest_segment = max(highest_segment, ${at.segments}(row));
    lowest_position = min(lowest_position, ${at.positions}(row));
    highest_position = max(highest_position, ${at.positions}(row));
  }
  let single = lowest_segment == highest_segment && lowest_segment >= 0;
  // where the search for tiles is: at a row's sequence in the cache, or among the step's own rows
  var row = row_first;
  var in_cache = ${cache ? 'true' : 'false'};
  var place = 0u;
  var opened = false;
  var more = false;
  var next = Tile(0u, 0u, -1, false);
  var tile = next;
  var next_seen = false;
  var all_seen = false;
  ${advance}
  ${loop}
  ${finish}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(Math.ceil(size(multiplyDims(T, G)) / queries), K, 1),
  };
}

/** WGSL of the place of a query's score: of a key of a tile, which may reach past the last one. */
const placeOfText = (
  rows: string,
  cached: boolean,
): string => `fn place_of(query: Query, key: u32, tile: Tile) -> Place {
  ${cached ? 'if (tile.cached) { sequence = tile.sequence; return cached_place(query.row, query.head, query.segment, query.position, min(key, tile.end - 1u)); }' : ''}
  return own_place(query.row, query.head, query.segment, query.position, min(key, ${rows} - 1u));
}
`;

const halfRows: readonly string[] = ['q', 'k', 'v', 'keys', 'values'];
/** A query's head, and its place. */
const headOf = (id: string) => `kv_head * G + (${id}) % G`;
const head = (id: string) => `(${id}) / G * H + ${headOf(id)}`;

/**
 * Finds the next tile: of the row's sequence in the cache or of the next row's, at the end of the step's own rows; passes over
 * tiles of these without a row that could be seen. All invocations of a workgroup take part.
 */
function advanceText({ at, size }: KernelNames, attributes: PackedAttributes, keys: number, lanes: number): string {
  const { window, keepFirst } = attributes;
  const cached = attributes.cache !== undefined;
  const kept = keepFirst === undefined ? '' : ` || position < ${keepFirst}`;
  // by their number in the sequence; where that is not their position, tiles in windows are looked at key by key
  const free = window !== undefined && placedElsewhere(attributes) ? ' && false' : undefined;
  const far = (position: string, from: string) => (window === undefined ? '' : ` && ${from} - ${position} < ${window}`);
  return `
  all_seen = next_seen;
  more = false;
  loop {
    if (in_cache) {
      ${
        cached
          ? `if (!opened) {
        // a sequence is taken at its first row
        if (row >= row_end) {
          in_cache = false;
          place = 0u;
        } else if (${at.segments}(row) >= 0 && !met_before(row, row_first)) {
          opened = true;
          place = first_cached(lowest_position, ${at.segments}(row));
        } else {
          row++;
        }
        continue;
      }
      let length = cached_of(${at.segments}(row));
      if (place < length) {
        next = Tile(place, length, ${at.segments}(row), true);
        next_seen = single && place + ${keys}u <= length${free ?? far('i32(place)', 'highest_position')};
        place += ${keys}u;
        more = true;
        break;
      }
      opened = false;
      row++;`
          : 'in_cache = false;'
      }
    } else {
      if (place >= ${size.T}) { break; }
      let begin = place;
      place += ${keys}u;
      for (var u = begin; u < min(place, ${size.T}); u++) {
        let segment = ${at.segments}(u);
        let position = ${at.positions}(u);
        if (segment >= max(lowest_segment, 0) && segment <= highest_segment && position <= highest_position${window === undefined ? '' : ` && (lowest_position - position < ${window}${kept})`}) {
          more = true;
          break;
        }
      }
      if (more) {
        next = Tile(begin, ${size.T}, -1, false);
        // each lane looks at some of the keys
        var seen = single && place <= ${size.T};
        for (var x = lane; x < ${keys}u; x += ${lanes}u) {
          let u = min(begin + x, ${size.T} - 1u);
          let position = ${at.positions}(u);
          seen = seen && ${at.segments}(u) == lowest_segment && position <= lowest_position${far('position', 'highest_position')};
        }
        next_seen = subgroupAll(seen);
        break;
      }
    }
  }`;
}
