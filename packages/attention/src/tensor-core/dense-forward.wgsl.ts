import type { KernelBuffer, KernelCall, KernelContext, MatrixFragment } from '@heddle/tensor';
import { type DenseAttributes, sizesOf } from '../dense/arguments.ts';
import { denseScores, isRescored, keyRange, seenByPlace } from '../dense/wgsl/scores.wgsl.ts';
import { segmentMemoryOf } from '../dense/wgsl/segments.wgsl.ts';
import { blocksInKernel } from '../flex/block-mask.wgsl.ts';
import { extraBuffers, type FunctionsInKernel } from '../flex/emit.wgsl.ts';
import { gridOf, gridPlace, subgroupBuiltins } from '../tiles/grid.wgsl.ts';
import { f32, lowest, scoreText } from '../tiles/score.wgsl.ts';
import { forwardText } from './forward.wgsl.ts';
import { type ForwardTile, forwardMemory, forwardSizes } from './forward-tile.ts';
import { advancing } from './load-tile.ts';

/** Dense attention by subgroup matrices: a workgroup takes queries of one head. */
export function denseForwardMatrix(
  context: KernelContext<DenseAttributes>,
  own: FunctionsInKernel | undefined,
  fragment: MatrixFragment,
  tile: ForwardTile,
): KernelCall {
  const { inputs, attributes } = context;
  const blocks = blocksInKernel(context, 2);
  const { B, L, S, H, K, D } = sizesOf(inputs);
  const { extras, causal, window, dropout, scale } = attributes;
  const { queries, threads } = forwardSizes(tile, fragment);
  const { across = 1 } = tile;
  const rows = (queries / tile.subgroups) * across;
  const sinks = extras.includes('sinks');
  const buffers: KernelBuffer[] = [
    { name: 'q', input: 0, vector: 8 },
    { name: 'k', input: 1, vector: 8 },
    { name: 'v', input: 2, vector: 8 },
    ...extraBuffers(inputs, attributes),
    ...(blocks ? [blocks.buffer] : []),
    { name: 'out', output: 0, vector: 4 },
    { name: 'statistics', output: 1 },
  ];
  return {
    label: 'attention.matrix',
    buffers,
    parameters: { B, L, S },
    requires: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    threads: threads,
    builtins: subgroupBuiltins,
    workgroup: { ...forwardMemory(D, tile, fragment), ...segmentMemoryOf(attributes) },
    write: (names) => {
      const { at, set, set4, size } = names;
      const rescored = isRescored(attributes, own);
      const last = `i32(tile.first + ${tile.keys}u)`;
      /** Whether the keys of the present tile are seen by all of the `count` queries whose first stands at `position`. */
      const freeFor = (position: string, count: number) =>
        seenByPlace(attributes, own, blocks !== undefined)
          ? [
              `${last} <= i32(${size.S})`,
              ...(causal ? [`${last} <= ${position} + 1`] : []),
              ...(window === undefined ? [] : [`i32(tile.first) + ${window} > ${position} + ${count - 1}`]),
              ...(extras.includes('keyLengths') ? [`${last} <= ${at.keyLengths}(batch)`] : []),
              ...(blocks ? ['tile.seen == 2'] : []),
            ].join(' && ')
          : 'false';
      const seen = `blocks_of(w.z, w.y, 1u, query_first, query_first + ${queries}u, next.first, next.first + ${tile.keys}u)`;
      const { first, advance } = advancing(
        `more = next.first > key_begin;\n    next.first -= ${tile.keys}u;`,
        blocks && seen,
      );
      const { begin, loop, finish } = forwardText(names, D, tile, fragment, {
        queryHead: (id) => `(batch * ${size.L} + min(${id}, ${size.L} - 1u)) * H + w.y`,
        keyHead: (of, x) => `(batch * ${size.S} + min(${of}.first + ${x}, ${size.S} - 1u)) * K + w.y / ${H / K}u`,
        advance,
        free: freeFor('first_position', rows),
        // a score function hides keys by minus infinity wherever it likes
        allFree: own?.traced.score ? 'false' : freeFor(`(i32(query_first) + i32(${size.S}) - i32(${size.L}))`, queries),
        ...(rescored ? { change: (product: string, key: string) => `score_of_seen(${product}, query, ${key})` } : {}),
        adjust: (product, key) => `adjust(${product}, query, ${key})`,
        scale,
        first: sinks ? [`${at.sinks}(w.y)${rescored ? '' : ` * ${f32(Math.LOG2E)}`}`, '1.0'] : [lowest, '0.0'],
        ...(dropout ? { keep: (key: string) => `dropout4(query, ${key} / 4u)` } : {}),
        storeSoftmax: (top, logSum) => `if (query_id < ${size.L}) {
      let place = (batch * H + w.y) * ${size.L} + query_id;
      ${set.statistics}(place, ${top});
      ${set.statistics}(${size.B} * H * ${size.L} + place, ${logSum});
    }`,
        store4: (column, value) =>
          `if (query_id < ${size.L}) { ${set4.out}(((batch * ${size.L} + query_id) * H + w.y) * ${D / 4}u + ${column}, ${value}); }`,
      });
      const functions = `// a query is a row, and its head the workgroup's
const G = 1u;
const H = ${H}u;
const K = ${K}u;
var<private> batch: u32;
var<private> kv_head: u32;
struct Tile { first: u32, seen: i32 }
${scoreText}
${denseScores(names, inputs, attributes, own)}
${blocks?.text(names) ?? ''}`;
      const main = `  ${gridPlace(`(${size.L} + ${queries - 1}u) / ${queries}u`, H, size.B!)}
  batch = w.z;
  kv_head = w.y;
  // the queries with most keys come first
  let query_first = (tiles - 1u - w.x) * ${queries}u;
  let first_position = i32(query_first + subgroup / ${across}u * ${rows}u) + i32(${size.S}) - i32(${size.L});
  ${keyRange(names, attributes, `min(query_first + ${queries - 1}u, ${size.L} - 1u)`, 'query_first', threads)}
  ${begin}
  let query = query_of(min(query_id, ${size.L} - 1u));
  // from the last keys to the first: scores that favour what is near then have their maximum at once, and sums are not scaled
  var tile = Tile(key_begin + (max(key_end, key_begin + 1u) - key_begin - 1u) / ${tile.keys}u * ${tile.keys}u, 1);
  var next = tile;
  var more = key_begin < key_end;
  ${first}
  ${loop}
  ${finish}`;
      return { functions, main };
    },
    workgroups: (size) => gridOf(Math.ceil(size(L) / queries), H, size(B)),
  };
}
