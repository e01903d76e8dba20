import type { WorkgroupArray } from '@heddle/tensor';
import { lowestScore } from '../dense/mask-value.ts';
import {
  each,
  lines,
  loadKey,
  loadQuery,
  loadValue,
  forwardQueries as M,
  forwardKeys as N,
  type Shared,
  tileMemory,
  tilePlaces,
  tileProduct,
  tileResults,
  tileStore,
  tileSum,
  tileSums,
} from './flash-tile.wgsl.ts';
import { f32, lowest } from './score.wgsl.ts';

/** Workgroup memory of `forwardTile`. */
export const forwardMemory = (D: number, V: number = D): Record<string, WorkgroupArray> => ({
  ...tileMemory(D, V),
  part: { type: 'f32', length: 256 },
  row_scale: { type: 'f32', length: M },
});

/** The parts of a forward kernel; see `forwardTile`. */
export interface ForwardTileText {
  /** Opens the tile's state, in `main`. */
  readonly begin: string;
  /** Takes the keys from `key_first` on into the state. */
  readonly tile: string;
  /** Divides by the sum of the weights and stores outputs, highest scores and logarithms of sums. */
  readonly finish: string;
}

/**
 * Online softmax of the queries of a tile, all of one key-value head, over tiles of keys
 * (https://arxiv.org/abs/2205.14135): the scores of a tile go through workgroup memory, sums of values stay in registers.
 *
 * The caller's text has `query_first`, `query_count` and `key_first` (u32, uniform), `local` (the invocation) and
 *   fn load_query4(query: u32, c: u32) -> vec4<f32>   for query < query_count
 *   fn load_key4(key: u32, c: u32) -> vec4<f32>       for key in the tile, which may reach past the last key
 *   fn load_value4(key: u32, c: u32) -> vec4<f32>
 *   fn query_of(query: u32) -> Query                  whatever `adjust` needs to know of a query
 *   fn adjust(score: f32, query: Query, key: u32) -> f32   the score, or the lowest where the key is not seen
 *   fn first_maximum(query: u32) -> f32, fn first_sum(query: u32) -> f32   before any key
 *   fn store4(query: u32, c: u32, value: vec4<f32>)
 *   fn store_softmax(query: u32, top: f32, log_sum: f32)   the highest score, and the logarithm of the sum below it
 * and with dropout, for which `key_first` is a multiple of four,
 *   fn dropout4(query: Query, four: u32) -> vec4<f32>   what the weights of keys from 4 * four on are multiplied by
 */
export function forwardTile(names: Shared, D: number, dropout = false, V: number = D): ForwardTileText {
  const { shared } = names;
  const kept = (weight: string, behind: number) =>
    dropout ? `${weight} * dropout4(softmax_row, (key_first + local % 4u * 8u + ${behind}u) / 4u)` : weight;
  const begin = lines(
    tilePlaces(names, V),
    each(2, (r) => `let query_${r} = query_of(min(query_first + ty * 2u + ${r}u, query_count - 1u));`),
    `let softmax_query = min(query_first + local / 4u, query_count - 1u);`,
    dropout ? `let softmax_row = query_of(softmax_query);` : [],
    `var top = first_maximum(softmax_query);`,
    `var total = select(0.0, first_sum(softmax_query), local % 4u == 0u);`,
    tileSums('o', V),
  );
  const softmax = lines(
    `let mine = local / 4u * ${N / 4 + 1}u + local % 4u * 2u;`,
    `let x0 = ${shared.row_tile}[mine]; let x1 = ${shared.row_tile}[mine + 1u];`,
    `let y = max(x0, x1);`,
    `${shared.part}[local] = max(max(y.x, y.y), max(y.z, y.w));`,
    `workgroupBarrier();`,
    `let first = local / 4u * 4u;`,
    `let new_top = max(top, max(max(${shared.part}[first], ${shared.part}[first + 1u]), max(${shared.part}[first + 2u], ${shared.part}[first + 3u])));`,
    // where nothing was seen yet all scores are the lowest, and would weigh 1
    `let w0 = select(exp(x0 - new_top), vec4<f32>(), x0 <= vec4<f32>(${f32(lowestScore / 2)}));`,
    `let w1 = select(exp(x1 - new_top), vec4<f32>(), x1 <= vec4<f32>(${f32(lowestScore / 2)}));`,
    `let scale = exp(top - new_top);`,
    `let w = w0 + w1;`,
    `total = total * scale + (w.x + w.y + w.z + w.w);`,
    `top = new_top;`,
    `${shared.row_tile}[mine] = ${kept('w0', 0)}; ${shared.row_tile}[mine + 1u] = ${kept('w1', 4)};`,
    `if (local % 4u == 0u) { ${shared.row_scale}[local / 4u] = scale; }`,
  );
  const tile = lines(
    '{',
    tileProduct(names, 's', loadQuery, loadKey, D),
    tileStore(names, (r, i) => `adjust(s${r}${i}, query_${r}, key_first + tx * 4u + ${i}u)`),
    'workgroupBarrier();',
    softmax,
    tileSum(names, 'o', loadValue, V, (row, sum) => `${sum} *= ${shared.row_scale}[${row}];`),
    '}',
  );
  const finish = lines(
    `workgroupBarrier();`,
    `${shared.part}[local] = total;`,
    `workgroupBarrier();`,
    `let quad = local / 4u * 4u;`,
    `let weight = ${shared.part}[quad] + ${shared.part}[quad + 1u] + ${shared.part}[quad + 2u] + ${shared.part}[quad + 3u];`,
    `if (local % 4u == 0u) {`,
    `  ${shared.row_scale}[local / 4u] = select(1.0 / weight, 0.0, weight == 0.0);`,
    `  if (query_first + local / 4u < query_count) {`,
    `    store_softmax(query_first + local / 4u, select(top, ${lowest}, weight == 0.0), select(log(weight), 0.0, weight == 0.0));`,
    `  }`,
    `}`,
    `workgroupBarrier();`,
    tileResults(
      'o',
      V,
      (row, c, value) =>
        `if (query_first + ${row} < query_count) { store4(query_first + ${row}, ${c}, ${value} * ${shared.row_scale}[${row}]); }`,
    ),
  );
  return { begin, tile, finish };
}
