import { type KernelBuffer, type KernelCall, type KernelNames, multiplyDims } from '@heddle/tensor';
import type { FunctionsInKernel } from '../../flex/emit.wgsl.ts';
import { forwardKeys, forwardQueries, tileText } from '../../tiles/flash-tile.wgsl.ts';
import { forwardMemory, forwardTile } from '../../tiles/forward-tile.wgsl.ts';
import { gridBuiltins, gridOf, gridPlace } from '../../tiles/grid.wgsl.ts';
import { headVector, loadHead4, storeHead4 } from '../../tiles/head-access.wgsl.ts';
import { seenScore } from '../../tiles/score.wgsl.ts';
import { named, packedSizes } from '../attributes.ts';
import { packedBuffers, valueBuffers } from './buffers.wgsl.ts';
import { headNames, pageText, slotText } from './page-table.wgsl.ts';
import { type PackedContext, placeSizes } from './score-functions.wgsl.ts';
import { packedScoreText, scoreIn } from './scores.wgsl.ts';

/**
 * Many rows: a workgroup takes neighbouring rows of one key-value head's group, first over what the cache held of each
 * sequence among them, then over the step's own rows, of which it passes over tiles without a row of these sequences.
 */
export function packedPrefill({ inputs, attributes, functions: own }: PackedContext): KernelCall {
  const { window, keepFirst, cache, lse } = attributes;
  const { T, H, K, G, D, V } = packedSizes(inputs, attributes);
  const values = valueBuffers(inputs, attributes);
  const outputs: KernelBuffer[] = [
    { name: 'out', output: 0, vector: headVector(V) },
    ...(lse ? [{ name: 'lse', output: 1 }] : []),
  ];
  const head = '(kv_head * G + query % G)';
  const table = named(inputs, attributes).table;
  const kept = keepFirst === undefined ? '' : ` || position < ${keepFirst}`;
  const inWindow = window === undefined ? '' : ` && (lowest_position - position < ${window}${kept})`;
  return {
    label: 'packedAttention',
    buffers: [...packedBuffers(inputs, attributes), ...outputs],
    parameters: {
      T,
      ...(cache ? { N: table!.shape[1]!, block_size: cache.blockSize } : {}),
      ...placeSizes({ inputs, attributes, functions: own }),
    },
    threads: 256,
    builtins: gridBuiltins,
    workgroup: forwardMemory(D, V),
    write: (names) => {
      const { at, set, size } = names;
      const tile = forwardTile(names, D, false, V);
      const load = (step: string, pool: string, width: number, pitch: number) => {
        const stepText = `return ${loadHead4(names, step, `min(key, ${size.T} - 1u) * K + kv_head`, 'c', width, pitch)};`;
        if (!cache) return stepText;
        return `if (from_cache) { return ${loadHead4(headNames(names, attributes, pool), pool, 'slot_of(min(key, key_end - 1u)) * K + kv_head', 'c', width, pitch)}; }
  ${stepText}`;
      };
      const functions = `const G = ${G}u;
const H = ${H}u;
const K = ${K}u;
var<private> kv_head: u32;
// the keys that are being taken: cached ones of a sequence up to key_end, or the step's own
var<private> from_cache: bool;
var<private> sequence: i32;
var<private> key_end: u32;
${tileText}
${cache ? `${slotText(names, cache.blockSize)}\n${pageText(names, inputs, attributes)}` : ''}
${packedScoreText(names, attributes, own)}
${seenText(names, cache !== undefined, own)}
fn load_query4(query: u32, c: u32) -> vec4<f32> { return ${loadHead4(names, 'q', `query / G * H + ${head}`, 'c', D)}; }
fn load_key4(key: u32, c: u32) -> vec4<f32> {
  ${load('k', 'keys', D, D)}
}
fn load_value4(key: u32, c: u32) -> vec4<f32> {
  ${load(values.own, values.pool, V, values.pitch)}
}
fn first_maximum(query: u32) -> f32 { return first_logit(${head}); }
fn first_sum(query: u32) -> f32 { return first_weight(); }
fn store4(query: u32, c: u32, value: vec4<f32>) { ${storeHead4(names, 'out', `query / G * H + ${head}`, 'c', 'value', V)} }
fn store_softmax(query: u32, top: f32, log_sum: f32) { ${lse ? `${set.lse}(query / G * H + ${head}, top + log_sum);` : ''} }

/** Whether a row before this one, from row_first on, is of its sequence. */
fn met_before(row: u32, row_first: u32) -> bool {
  for (var r = row_first; r < row; r++) { if (${at.segments}(r) == ${at.segments}(row)) { return true; } }
  return false;
}`;
      const main = `  ${gridPlace(`(${size.T} * G + ${forwardQueries - 1}u) / ${forwardQueries}u`, K, '1u')}
  kv_head = w.y;
  let query_count = ${size.T} * G;
  let query_first = w.x * ${forwardQueries}u;
  let row_first = query_first / G;
  let row_end = min(query_first + ${forwardQueries - 1}u, query_count - 1u) / G + 1u;
  ${tile.begin}
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

  // one loop over both kinds of keys, so that its text is there once
  var row = row_first;
  var cached = ${cache ? 'true' : 'false'};
  var next = 0u;
  var opened = false;
  loop {
    var found = false;
    var key_first = next;
    if (cached) {
      ${cache ? cachedStep(names) : ''}
    } else {
      if (next >= ${size.T}) { break; }
      for (var u = next; u < min(next + ${forwardKeys}u, ${size.T}); u++) {
        let segment = ${at.segments}(u);
        let position = ${at.positions}(u);
        if (segment >= max(lowest_segment, 0) && segment <= highest_segment && position <= highest_position${inWindow}) {
          found = true;
          break;
        }
      }
      next += ${forwardKeys}u;
    }
    if (found) ${tile.tile}
  }
  ${tile.finish}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(Math.ceil(size(multiplyDims(T, G)) / forwardQueries), K, 1),
  };
}

/** Moves to the next tile of cached keys, of the row's sequence or of the next row's; at the end to the step's own rows. */
const cachedStep = ({ at }: KernelNames): string => `
      if (!opened) {
        // a sequence is taken at its first row
        if (row < row_end && ${at.segments}(row) >= 0 && !met_before(row, row_first)) {
          opened = true;
          from_cache = true;
          sequence = ${at.segments}(row);
          next = first_cached(lowest_position, sequence);
        } else if (row >= row_end) {
          cached = false;
          from_cache = false;
          next = 0u;
        } else {
          row++;
        }
      } else if (next < cached_of(${at.segments}(row))) {
        key_end = cached_of(${at.segments}(row));
        key_first = next;
        next += ${forwardKeys}u;
        found = true;
      } else {
        opened = false;
        row++;
      }`;

/** WGSL of `Query`, `query_of` and `adjust` of packed attention. */
function seenText({ at, size }: KernelNames, cached: boolean, own: FunctionsInKernel | undefined): string {
  const { score, seen } = scoreIn(own);
  return `
struct Query { segment: i32, position: i32${own ? ', row: u32, head: u32' : ''} }
fn query_of(query: u32) -> Query { return Query(${at.segments}(query / G), ${at.positions}(query / G)${own ? ', query / G, kv_head * G + query % G' : ''}); }
fn sees(query: Query, key: u32) -> bool {
  ${cached ? `if (from_cache) { return query.segment == sequence && key < key_end && is_near(query.position, cached_position(min(key, key_end - 1u))); }` : ''}
  if (key >= ${size.T} || query.segment < 0) { return false; }
  let position = ${at.positions}(key);
  return ${at.segments}(key) == query.segment && position <= query.position && is_near(query.position, position);
}
${own ? placeOfText(size.T!, cached) : ''}fn adjust(product: f32, query: Query, key: u32) -> f32 {
  ${own ? 'let place = place_of(query, key);\n  ' : ''}return ${seenScore(score('product', 'place'), seen('sees(query, key)', 'place'))};
}`;
}

/** WGSL of the place of a query's score: of a key of the tile, which may reach past the last one. */
const placeOfText = (rows: string, cached: boolean): string => `fn place_of(query: Query, key: u32) -> Place {
  ${cached ? 'if (from_cache) { return cached_place(query.row, query.head, query.segment, query.position, min(key, key_end - 1u)); }' : ''}
  return own_place(query.row, query.head, query.segment, query.position, min(key, ${rows} - 1u));
}
`;
