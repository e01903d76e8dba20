import { lowestScore, lowestSeenScore } from '../dense/mask-value.ts';

/** Sizes of a forward tile; 256 invocations. */
const [M, N] = [64, 32];
/** Fours of the head that a step of the score product takes. */
const C = 8;

/** Queries of one workgroup of the forward kernel. */
export const forwardQueries: number = M;
/** Keys of one tile. */
export const forwardKeys: number = N;
/** Fours between the rows of `p_tile`. */
export const tilePitch: number = N / 4 + 1;

/** WGSL of a number as f32. */
export function f32(value: number): string {
  const text = String(Math.fround(value));
  return /[.e]/.test(text) ? `f32(${text})` : `${text}.0`;
}
export const lowest: string = f32(lowestScore);

/** WGSL of the score that a kernel goes on with: that of a key that is seen, or the lowest. NaN stays NaN. */
export const seenScore = (score: string, seen: string): string => `score_or_lowest(${score}, ${seen})`;
/** WGSL of whether a score from `seenScore` is of a key that is seen; of NaN too. */
export const isSeenScore = (score: string): string => `is_seen_score(${score})`;
/** WGSL that these and the sums of tiles need. Bits are compared: drivers take a comparison and a choice for a maximum, which loses NaN. */
export const scoreText: string = `
fn score_or_lowest(score: f32, seen: bool) -> f32 {
  let bits = bitcast<u32>(score);
  let raised = select(score, ${f32(lowestSeenScore)}, (bits > ${bitsOf(lowestSeenScore)}) & (bits < ${bitsOf(Number.NEGATIVE_INFINITY)}));
  return select(raised, ${f32(lowestScore)}, !seen | (bits == ${bitsOf(Number.NEGATIVE_INFINITY)}));
}
fn is_seen_score(score: f32) -> bool {
  let bits = bitcast<u32>(score);
  return (bits < ${bitsOf(lowestScore / 2)}) | (bits > ${bitsOf(Number.NEGATIVE_INFINITY)});
}`;

/** WGSL of the bits of a number as f32. Those of negative numbers grow with their size. */
function bitsOf(value: number): string {
  return `0x${new Uint32Array(Float32Array.of(value).buffer)[0]!.toString(16)}u`;
}

const each = <T>(count: number, text: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => text(i));
const lines = (...parts: readonly (string | readonly string[])[]): string => parts.flat().join('\n');

/** How a head of D values is cut: fours, columns of a step of `tileSum`, rows of an invocation in it, and steps. */
function cutHead(D: number): { D4: number; VC: number; rowsOf: number; chunks: number } {
  const D4 = Math.ceil(D / 4);
  const VC = Math.min(16, Math.max(4, 2 ** Math.ceil(Math.log2(D4))));
  return { D4, VC, rowsOf: (M * VC) / 256, chunks: Math.ceil(D4 / VC) };
}

/** `call` at four `c`, or 0 behind the head's end. `@` in the call stands for the four. */
const loadFour = (call: string, c: string, size: number, D4: number) =>
  D4 % size === 0
    ? call.replaceAll('@', c)
    : `select(vec4<f32>(), ${call.replaceAll('@', `min(${c}, ${D4 - 1}u)`)}, ${c} < ${D4}u)`;

/** WGSL of `is_not_finite4`: kernels may assume that there is neither NaN nor infinity, so bits are looked at. */
export const notFiniteText = `
fn is_not_finite4(four: vec4<f32>) -> vec4<bool> {
  return (bitcast<vec4<u32>>(four) & vec4<u32>(0x7f800000u)) == vec4<u32>(0x7f800000u);
}`;

/** Workgroup memory of `tileProduct` over heads of D, and of `tileSum` over V values. */
export function tileMemory(D: number, V: number = D): string {
  return `
var<workgroup> q_tile: array<vec4<f32>, ${M * (C + 1)}>;
var<workgroup> kv_tile: array<vec4<f32>, ${Math.max(N * (C + 1), N * cutHead(V).VC)}>;
var<workgroup> p_tile: array<vec4<f32>, ${M * (N / 4 + 1)}>;
// whether a row that was brought in had a value that is not finite
var<workgroup> not_finite: atomic<u32>;
${notFiniteText}
${scoreText}
`;
}

/** Names of an invocation's places in a tile. */
export function tilePlaces(D: number): string {
  return `if (local == 0u) { atomicStore(&not_finite, 0u); }
  let tx = local % 8u; let ty = local / 8u; let vx = local % ${cutHead(D).VC}u; let vy = local / ${cutHead(D).VC}u;`;
}

/**
 * Products of the rows and columns of a tile: `NAMEri` of row `ty * 2 + r` and column `tx * 4 + i`. `row` and `column` are
 * expressions of four `@` of row and column `x`.
 */
export function tileProduct(name: string, row: string, column: string, D: number): string {
  const { D4 } = cutHead(D);
  return lines(
    each(2, (r) => each(4, (i) => `var ${name}${r}${i} = 0.0;`).join(' ')),
    `for (var c0 = 0u; c0 < ${D4}u; c0 += ${C}u) {`,
    `  workgroupBarrier();`,
    `  for (var i = local; i < ${M * C}u; i += 256u) {`,
    `    let c = c0 + i % ${C}u; let x = i / ${C}u;`,
    `    q_tile[x * ${C + 1}u + i % ${C}u] = ${loadFour(row, 'c', C, D4)};`,
    `  }`,
    // columns that one invocation takes lie apart, so that the reads of neighbours fall into different banks
    `  for (var i = local; i < ${N * C}u; i += 256u) {`,
    `    let c = c0 + i % ${C}u; let slot = i / ${C}u; let x = slot % 8u * 4u + slot / 8u;`,
    `    kv_tile[slot * ${C + 1}u + i % ${C}u] = ${loadFour(column, 'c', C, D4)};`,
    `  }`,
    `  workgroupBarrier();`,
    `  for (var c = 0u; c < ${C}u; c++) {`,
    each(2, (r) => `    let a${r} = q_tile[(ty * 2u + ${r}u) * ${C + 1}u + c];`),
    each(4, (i) => `    let b${i} = kv_tile[(tx + ${8 * i}u) * ${C + 1}u + c];`),
    each(2, (r) => `    ${each(4, (i) => `${name}${r}${i} += dot(a${r}, b${i});`).join(' ')}`),
    `  }`,
    `}`,
  );
}

/** Stores what `value` gives for row r and column i of this invocation for `tileSum`. */
export function tileStore(value: (r: number, i: number) => string): string {
  return lines(
    each(
      2,
      (r) => `p_tile[(ty * 2u + ${r}u) * ${N / 4 + 1}u + tx] = vec4<f32>(${each(4, (i) => value(r, i)).join(', ')});`,
    ),
  );
}

/** Opens the sums of `tileSum`. */
export function tileSums(name: string, D: number): string {
  const { rowsOf, chunks } = cutHead(D);
  return lines(each(chunks, (v) => each(rowsOf, (i) => `var ${name}${v}_${i} = vec4<f32>();`)).flat());
}

/**
 * Adds to the sums of the rows what `tileStore` stored, times the columns' fours (`column`, see `tileProduct`). A weight of 0
 * takes nothing, whatever its column holds: values that are not finite are 0 in the tile, and added one by one where there
 * are any.
 */
export function tileSum(
  name: string,
  column: string,
  D: number,
  before: (row: string, sum: string) => string = () => '',
): string {
  const { D4, VC, rowsOf, chunks } = cutHead(D);
  return lines(
    each(chunks, (v) =>
      lines(
        `workgroupBarrier();`,
        `for (var i = local; i < ${N * VC}u; i += 256u) {`,
        `  let c = ${v * VC}u + i % ${VC}u; let x = i / ${VC}u;`,
        `  let four = ${loadFour(column, 'c', VC, D4)};`,
        `  let beyond = is_not_finite4(four);`,
        `  kv_tile[i] = select(four, vec4<f32>(), beyond);`,
        `  if (any(beyond)) { atomicStore(&not_finite, 1u); }`,
        `}`,
        `workgroupBarrier();`,
        each(rowsOf, (i) => before(`vy * ${rowsOf}u + ${i}u`, `${name}${v}_${i}`)),
        `for (var j = 0u; j < ${N / 4}u; j++) {`,
        each(rowsOf, (i) => `  let p${i} = p_tile[(vy * ${rowsOf}u + ${i}u) * ${N / 4 + 1}u + j];`),
        each(4, (k) => [
          `  let v${k} = kv_tile[(j * 4u + ${k}u) * ${VC}u + vx];`,
          ...each(rowsOf, (i) => `  ${name}${v}_${i} += p${i}.${'xyzw'[k]} * v${k};`),
        ]).flat(),
        `}`,
        `if (atomicLoad(&not_finite) != 0u) {`,
        `  for (var x = 0u; x < ${N}u; x++) {`,
        `    let c = ${v * VC}u + vx;`,
        `    let four = ${loadFour(column, 'c', VC, D4)};`,
        `    let beyond = select(vec4<f32>(), four, is_not_finite4(four));`,
        each(
          rowsOf,
          (i) =>
            `    { let p = p_tile[(vy * ${rowsOf}u + ${i}u) * ${N / 4 + 1}u + x / 4u][x % 4u]; if (p != 0.0) { ${name}${v}_${i} += p * beyond; } }`,
        ),
        `  }`,
        `}`,
      ),
    ),
  );
}

/** Calls `store(row, c, value)` for each four of the sums; `row` is one of the tile's. */
export function tileResults(name: string, D: number, store: (row: string, c: string, value: string) => string): string {
  const { D4, VC, rowsOf, chunks } = cutHead(D);
  return lines(
    each(rowsOf, (i) =>
      each(chunks, (v) => {
        const c = `(vx + ${v * VC}u)`;
        const text = store(`(vy * ${rowsOf}u + ${i}u)`, c, `${name}${v}_${i}`);
        return (v + 1) * VC <= D4 ? text : `if (${c} < ${D4}u) { ${text} }`;
      }),
    ).flat(),
  );
}

/** The parts of a forward kernel; see `forwardTile`. */
export interface ForwardTile {
  /** Workgroup memory. */
  readonly declarations: string;
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
export function forwardTile(D: number, dropout = false, V: number = D): ForwardTile {
  const kept = (weight: string, behind: number) =>
    dropout ? `${weight} * dropout4(softmax_row, (key_first + local % 4u * 8u + ${behind}u) / 4u)` : weight;
  const declarations = `${tileMemory(D, V)}
var<workgroup> part: array<f32, 256>;
var<workgroup> row_scale: array<f32, ${M}>;
`;
  const begin = lines(
    tilePlaces(V),
    each(2, (r) => `let query_${r} = query_of(min(query_first + ty * 2u + ${r}u, query_count - 1u));`),
    `let softmax_query = min(query_first + local / 4u, query_count - 1u);`,
    dropout ? `let softmax_row = query_of(softmax_query);` : [],
    `var top = first_maximum(softmax_query);`,
    `var total = select(0.0, first_sum(softmax_query), local % 4u == 0u);`,
    tileSums('o', V),
  );
  const softmax = lines(
    `let mine = local / 4u * ${N / 4 + 1}u + local % 4u * 2u;`,
    `let x0 = p_tile[mine]; let x1 = p_tile[mine + 1u];`,
    `let y = max(x0, x1);`,
    `part[local] = max(max(y.x, y.y), max(y.z, y.w));`,
    `workgroupBarrier();`,
    `let first = local / 4u * 4u;`,
    `let new_top = max(top, max(max(part[first], part[first + 1u]), max(part[first + 2u], part[first + 3u])));`,
    // where nothing was seen yet all scores are the lowest, and would weigh 1
    `let w0 = select(exp(x0 - new_top), vec4<f32>(), x0 <= vec4<f32>(${f32(lowestScore / 2)}));`,
    `let w1 = select(exp(x1 - new_top), vec4<f32>(), x1 <= vec4<f32>(${f32(lowestScore / 2)}));`,
    `let scale = exp(top - new_top);`,
    `let w = w0 + w1;`,
    `total = total * scale + (w.x + w.y + w.z + w.w);`,
    `top = new_top;`,
    `p_tile[mine] = ${kept('w0', 0)}; p_tile[mine + 1u] = ${kept('w1', 4)};`,
    `if (local % 4u == 0u) { row_scale[local / 4u] = scale; }`,
  );
  const tile = lines(
    '{',
    tileProduct('s', 'load_query4(min(query_first + x, query_count - 1u), @)', 'load_key4(key_first + x, @)', D),
    tileStore((r, i) => `adjust(s${r}${i}, query_${r}, key_first + tx * 4u + ${i}u)`),
    'workgroupBarrier();',
    softmax,
    tileSum('o', 'load_value4(key_first + x, @)', V, (row, sum) => `${sum} *= row_scale[${row}];`),
    '}',
  );
  const finish = lines(
    `workgroupBarrier();`,
    `part[local] = total;`,
    `workgroupBarrier();`,
    `let quad = local / 4u * 4u;`,
    `let weight = part[quad] + part[quad + 1u] + part[quad + 2u] + part[quad + 3u];`,
    `if (local % 4u == 0u) {`,
    `  row_scale[local / 4u] = select(1.0 / weight, 0.0, weight == 0.0);`,
    `  if (query_first + local / 4u < query_count) {`,
    `    store_softmax(query_first + local / 4u, select(top, ${lowest}, weight == 0.0), select(log(weight), 0.0, weight == 0.0));`,
    `  }`,
    `}`,
    `workgroupBarrier();`,
    tileResults(
      'o',
      V,
      (row, c, value) =>
        `if (query_first + ${row} < query_count) { store4(query_first + ${row}, ${c}, ${value} * row_scale[${row}]); }`,
    ),
  );
  return { declarations, begin, tile, finish };
}
