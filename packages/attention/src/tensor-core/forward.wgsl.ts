import { f32, lowest } from '../tiles/flash-tile.wgsl.ts';
import { each, fragmentTypes, headPitch, type KernelParts, range, tileLoads } from './load-tile.ts';
import type { Fragment } from './mma-shape.ts';

/** How a workgroup takes its queries and keys. */
export interface ForwardTile {
  /** Fragments of queries below each other that a subgroup takes. */
  readonly down: number;
  readonly subgroups: number;
  /** Subgroups that share the same queries: each computes the scores of some keys and the sums of some columns. Default 1. */
  readonly across?: number;
  /** Keys of a tile. */
  readonly keys: number;
  /** Whether the next tiles are read before the scores are computed, or while the softmax is. */
  readonly early?: boolean;
  /** Whether queries stay in workgroup memory, and not in registers. */
  readonly stay?: boolean;
  /** f32 values behind each row of scores, against bank conflicts. */
  readonly padding?: 4 | 8;
}

/** Weights grow up to 2^8 before sums are scaled down anew: the probabilities in f16 bear it. */
const slack = 8;

/** Sizes that follow from a tile. */
function sizesOfTile({ down, subgroups, across = 1, keys, padding = 4 }: ForwardTile, { M, lanes }: Fragment) {
  const rows = down * M;
  const perRow = (lanes * across) / rows;
  return {
    rows,
    /** Lanes that share a row, and fours of it that each of them has. */
    perRow,
    fours: keys / 4 / perRow,
    queries: (rows * subgroups) / across,
    threads: lanes * subgroups,
    scorePitch: (keys + padding) / 4,
    weightPitch: keys / 8 + 1,
  };
}

/** Queries and invocations of a workgroup. */
export function forwardSizes(tile: ForwardTile, fragment: Fragment): { queries: number; threads: number } {
  const { queries, threads } = sizesOfTile(tile, fragment);
  return { queries, threads };
}

/** Whether a tile can be cut into fragments, and fits. */
export function forwardFits(tile: ForwardTile, fragment: Fragment, D: number, workgroupBytes: number): boolean {
  const { perRow, fours, queries, scorePitch, weightPitch } = sizesOfTile(tile, fragment);
  const { across = 1, keys } = tile;
  const whole = [
    perRow,
    fours / 2,
    keys / fragment.K,
    D / fragment.K,
    keys / across / fragment.N,
    D / across / fragment.N,
  ];
  const heads = 2 * keys + (tile.stay ? queries : 0);
  const elements = queries * (scorePitch + weightPitch) + heads * headPitch(D);
  return whole.every(Number.isInteger) && 16 * elements + 4 * keys + 64 <= workgroupBytes;
}

/** What the kernel around says, in WGSL. */
export interface ForwardHooks {
  /** The place of the head of query `id` in q: always one that exists. */
  readonly queryHead: (id: string) => string;
  /** The place of the head of a key in k and v, for key `x` of `tile` (the present one) or `next`: always one that exists. */
  readonly keyHead: (tile: 'tile' | 'next', x: string) => string;
  /** Names of the buffers of keys and values, for the one or the other tile. */
  readonly fetch?: (tile: 'tile' | 'next', fetchFrom: (keys: string, values: string) => string) => string;
  /** Moves `next` on; `more` says whether there is one. Uniform. */
  readonly advance: string;
  /** Uniform in a subgroup: whether every key of the present tile is seen by all its queries. */
  readonly free: string;
  /** Uniform in the workgroup: whether every key of the present tile is seen by all queries of the workgroup. */
  readonly allFree: string;
  /** The score of a product where the key is seen; where it is the product times `scale` and no more, undefined. */
  readonly change?: (product: string, key: string) => string;
  /** The score of a product, or the lowest where the key is not seen. */
  readonly adjust: (product: string, key: string) => string;
  readonly scale: number;
  /** The first maximum and sum of a row, before any key; the maximum in base 2 where there is no `change`. */
  readonly first: readonly [string, string];
  /** What weights are multiplied by behind the sum, for the four keys from `key` on. */
  readonly keep?: (key: string) => string;
  /** Stores a row's highest score and the logarithm of its sum below it, where the query exists. */
  readonly storeSoftmax: (top: string, logSum: string) => string;
  /** Stores four values of the row, where the query exists. */
  readonly store4: (column: string, value: string) => string;
}

/**
 * Attention in f16 by subgroup matrices, sums in f32 (https://arxiv.org/abs/2205.14135): a subgroup takes queries of its own,
 * the subgroups share tiles of keys and values. Fragments give no access to single values, so scores and probabilities go
 * through workgroup memory, where lanes have rows; the sums stay in fragments, and are scaled down only when the maximum of
 * a row has grown by more than 2^8. Between two tiles there are three barriers.
 *
 * The text around has `local`, `subgroup`, `lane`, `query_first`, `params` and the variables `tile` and `next` with the keys'
 * begin as `.first`, of which `next` is the first tile, and `more`.
 */
export function forwardText(D: number, tile: ForwardTile, fragment: Fragment, hooks: ForwardHooks): KernelParts {
  const { M, N, K, lanes } = fragment;
  const { down, across = 1, keys, early = false, stay = false } = tile;
  const { rows, perRow, fours, queries, threads, scorePitch, weightPitch } = sizesOfTile(tile, fragment);
  const { left, right, result } = fragmentTypes(fragment);
  const [columns, steps, parts, inner] = [keys / across / N, D / K, D / across / N, keys / K];
  // lanes have rows to themselves, or share them with lanes of the same subgroup
  const lines = rows / across;
  const pitch = headPitch(D);
  const [k, v] = [tileLoads('k', keys, D, threads), tileLoads('v', keys, D, threads)];
  const row = (i: number) => `own + ${i * M * scorePitch}u`;
  const { change } = hooks;
  const inBase2 = change ? '' : ` * ${f32(Math.LOG2E)}`;
  const fourOf = (text: (j: number) => string) => `vec4<f32>(${range(4).map(text).join(', ')})`;
  const declarations = `
var<workgroup> s_tile: array<vec4<u32>, ${queries * scorePitch}>;
var<workgroup> p_tile: array<vec4<u32>, ${queries * weightPitch}>;
var<workgroup> k_tile: array<vec4<u32>, ${k.elements}>;
var<workgroup> v_tile: array<vec4<u32>, ${v.elements}>;
${stay ? `var<workgroup> q_tile: array<vec4<u32>, ${queries * pitch}>;` : ''}
// the number of the last tile in which a row's maximum grew too much, or a value that not all queries see was not finite
var<workgroup> grown: atomic<u32>;
// the number of the last tile in which a value of the key was not finite, of tiles that not all queries see
var<workgroup> odd_keys: array<atomic<u32>, ${keys}>;`;
  // queries come through the tile of scores, as many columns at a time as there is room for
  const [place, placePitch] = stay ? ['q_tile', pitch] : ['s_tile', scorePitch];
  const room = stay ? D : Math.floor(scorePitch / (K / 8)) * K;
  const queryLoad = (r: number, s: number, from: number) =>
    `let q${r}_${s} = subgroupMatrixLoad<${left}, row_major>(&${place}, (own_first + ${r * M}u) * ${placePitch}u + ${(s * K - from) / 8}u, ${placePitch}u);`;
  const queryParts = Array.from({ length: Math.ceil(D / room) }, (_, i) => ({
    from: i * room,
    width: Math.min(room, D - i * room),
  }));
  const begin = `
  let role = subgroup % ${across}u;
  let own_first = subgroup / ${across}u * ${rows}u;
  let own = own_first * ${scorePitch}u;
  let own_weights = own_first * ${weightPitch}u;
  let line = role * ${lines}u + lane % ${lines}u;
  let part = lane / ${lines}u;
  let mine = own + line * ${scorePitch}u + part * ${fours}u;
  let my_weights = own_weights + line * ${weightPitch}u + part * ${fours / 2}u;
  let query_id = query_first + own_first + line;
  if (local == 0u) { atomicStore(&grown, 0u); }
  for (var x = local; x < ${keys}u; x += ${threads}u) { atomicStore(&odd_keys[x], 0u); }
  ${queryParts
    .map(
      ({ from, width }) => `for (var x = role * ${lanes}u + lane; x < ${(rows * width) / 8}u; x += ${lanes * across}u) {
    let id = query_first + own_first + x / ${width / 8}u;
    ${place}[own_first * ${placePitch}u + x / ${width / 8}u * ${placePitch}u + x % ${width / 8}u] = q[(${hooks.queryHead('id')}) * ${D / 8}u + ${from / 8}u + x % ${width / 8}u];
  }
  workgroupBarrier();
  ${stay ? '' : `${each(down, (r) => each(width / K, (x) => queryLoad(r, from / K + x, from)))}\n  workgroupBarrier();`}`,
    )
    .join('\n  ')}
  ${each(down, (r) => each(parts, (c) => `var o${r}_${c} = ${result}();`))}
  ${k.registers}
  ${v.registers}
  var top = ${hooks.first[0]};
  var total = select(0.0, ${hooks.first[1]}, part == 0u);
  var count = 0u;`;
  const fetch = hooks.fetch ?? ((_tile, from) => from('k', 'v'));
  const fetchKeys = fetch('next', (from) => k.fetch(from, (x) => hooks.keyHead('next', x)));
  const fetchValues = fetch('tile', (_, from) => v.fetch(from, (x) => hooks.keyHead('tile', x)));
  const reads = `${fetchValues}
    if (more) { ${fetchKeys} }`;
  // a weight of 0 takes nothing of a value, also where 0 times it is NaN; where all is seen there is no such weight
  const puts = `${v.put}
    ${k.put}
    if (!(${hooks.allFree})) {
      ${v.clean((x) => `atomicStore(&odd_keys[${x}], count); atomicStore(&grown, count);`)}
    }`;
  /** Makes weights of keys with values that are not finite NaN, unless they are 0. */
  const spoilWeights = `for (var i = 0u; i < ${fours / 2}u; i++) {
      var eight = p_tile[my_weights + i];
      for (var j = 0u; j < 8u; j++) {
        let half = (eight[j / 2u] >> (j % 2u * 16u)) & 0x7fffu;
        let is_odd = atomicLoad(&odd_keys[part * ${4 * fours}u + 8u * i + j]) == count;
        eight[j / 2u] |= select(0u, 0x7e00u << (j % 2u * 16u), is_odd & (half != 0u));
      }
      p_tile[my_weights + i] = eight;
    }
    workgroupBarrier();`;
  /** What `change` makes of the sums' columns in pieces of a tile of scores, where lanes have their rows. */
  const throughRows = (change: (from: number) => string, back: boolean) =>
    each(Math.ceil(D / keys), (piece) => {
      const width = Math.min(keys, D - piece * keys) / across;
      const all = (text: (r: number, c: number, at: string) => string) =>
        each(down, (r) =>
          each(width / N, (c) =>
            text(r, (piece * keys) / across / N + c, `${row(r)} + role * ${keys / across / 4}u + ${(c * N) / 4}u`),
          ),
        );
      return `${all((r, c, at) => `subgroupMatrixStore<row_major>(&s_tile, ${at}, o${r}_${c}, ${scorePitch}u);`)}
    workgroupBarrier();
    ${change(piece * keys)}
    workgroupBarrier();
    ${back ? all((r, c, at) => `o${r}_${c} = subgroupMatrixLoad<${result}, row_major>(&s_tile, ${at}, ${scorePitch}u);`) : ''}
    ${back ? 'workgroupBarrier();' : ''}`;
    });
  const shared = (value: string, join: (a: string, b: string) => string) =>
    each(Math.log2(perRow), (i) => `${value} = ${join(value, `subgroupShuffleXor(${value}, ${lines * 2 ** i}u)`)};`);
  const loop = `
  if (more) { ${fetchKeys} }
  ${k.put}
  workgroupBarrier();
  while (more) {
    tile = next;
    count++;
    ${hooks.advance}
    ${early ? reads : ''}
    {
    ${each(down, (r) => each(columns, (c) => `var s${r}_${c} = ${result}();`))}
    ${each(
      steps,
      (s) => `{
    ${stay ? each(down, (r) => queryLoad(r, s, 0)) : ''}
    ${each(
      columns,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, col_major>(&k_tile, role * ${(keys / across) * pitch}u + ${c * N * pitch + (s * K) / 8}u, ${pitch}u);
    ${each(down, (r) => `s${r}_${c} = subgroupMatrixMultiplyAccumulate(q${r}_${s}, b, s${r}_${c});`)} }`,
    )} }`,
    )}
    ${each(down, (r) => each(columns, (c) => `subgroupMatrixStore<row_major>(&s_tile, ${row(r)} + role * ${keys / across / 4}u + ${(c * N) / 4}u, s${r}_${c}, ${scorePitch}u);`))}
    }
    workgroupBarrier();
    ${early ? puts : reads}
    let free = ${change || hooks.scale > 0 ? hooks.free : 'false'};
    if (!free) {
      for (var i = 0u; i < ${fours}u; i++) {
        let four = bitcast<vec4<f32>>(s_tile[mine + i]);
        let key = tile.first + 4u * (part * ${fours}u + i);
        s_tile[mine + i] = bitcast<vec4<u32>>(${fourOf((j) => hooks.adjust(`four[${j}]`, `key + ${j}u`))}${inBase2});
      }
    }
    // in base 2 already, but where scores are made of products: their maximum is taken off exactly, however large it is
    let unit = ${change ? '1.0' : `select(1.0, ${f32(hooks.scale * Math.LOG2E)}, free)`};
    ${each(fours, (i) => `var x${i} = bitcast<vec4<f32>>(s_tile[mine + ${i}u]);`)}
    ${
      change
        ? `if (free) {
      let key = tile.first + part * ${4 * fours}u;
      ${each(fours, (i) => `x${i} = ${fourOf((j) => change(`x${i}[${j}]`, `key + ${4 * i + j}u`))};`)}
    }`
        : ''
    }
    var most = x0;
    ${each(fours - 1, (i) => `most = max(most, x${i + 1});`)}
    var highest = max(max(most.x, most.y), max(most.z, most.w)) * unit;
    ${shared('highest', (a, b) => `max(${a}, ${b})`)}
    var fade = 1.0;
    if (highest > top + ${f32(change ? slack * Math.LN2 : slack)}) {
      // sums of a row that saw nothing so far are 0
      if (total > 0.0) { atomicStore(&grown, count); }
      fade = ${change ? 'exp' : 'exp2'}(top - highest);
      top = highest;
      total *= fade;
    }
    // where nothing was seen yet all scores are the lowest, and weigh nothing
    let base = vec4<f32>(select(-top, 0.0, top <= -3e38));
    ${each(fours, (i) => (change ? `x${i} = exp(x${i} + base);` : `x${i} = exp2(fma(x${i}, vec4<f32>(unit), base));`))}
    let sum = ${Array.from({ length: fours }, (_, i) => `x${i}`).join(' + ')};
    total += sum.x + sum.y + sum.z + sum.w;
    ${hooks.keep ? each(fours, (i) => `x${i} *= ${hooks.keep!(`(tile.first + 4u * (part * ${fours}u + ${i}u))`)};`) : ''}
    ${each(fours / 2, (i) => `p_tile[my_weights + ${i}u] = vec4<u32>(pack2x16float(x${2 * i}.xy), pack2x16float(x${2 * i}.zw), pack2x16float(x${2 * i + 1}.xy), pack2x16float(x${2 * i + 1}.zw));`)}
    ${early ? '' : puts}
    if (workgroupUniformLoad(&grown) == count) {
    ${throughRows(() => `for (var i = 0u; i < ${fours}u; i++) { s_tile[mine + i] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(s_tile[mine + i]) * fade); }`, true)}
    ${spoilWeights}
    }
    {
    ${each(
      inner,
      (s) => `{
    ${each(down, (r) => `let p${r} = subgroupMatrixLoad<${left}, row_major>(&p_tile, own_weights + ${r * M * weightPitch + (s * K) / 8}u, ${weightPitch}u);`)}
    ${each(
      parts,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, row_major>(&v_tile, role * ${D / across / 8}u + ${s * K * pitch + (c * N) / 8}u, ${pitch}u);
    ${each(down, (r) => `o${r}_${c} = subgroupMatrixMultiplyAccumulate(p${r}, b, o${r}_${c});`)} }`,
    )}
    }`,
    )}
    }
  }`;
  const finish = `
  ${shared('total', (a, b) => `${a} + ${b}`)}
  let inverse = select(0.0, 1.0 / total, total > 0.0);
  if (part == 0u) { ${hooks.storeSoftmax(`select(top${change ? '' : ` * ${f32(Math.LN2)}`}, ${lowest}, total == 0.0)`, 'select(log(total), 0.0, total == 0.0)')} }
  workgroupBarrier();
  ${throughRows(
    (from) => `for (var i = 0u; i < ${fours}u; i++) {
      let place = part * ${fours}u + i;
      let inside = ${from / across / 4}u + place % ${keys / across / 4}u;
      let column = place / ${keys / across / 4}u * ${D / across / 4}u + inside;
      ${from + keys > D ? `if (inside < ${D / across / 4}u) ` : ''}{ ${hooks.store4('column', 'bitcast<vec4<f32>>(s_tile[mine + i]) * inverse')} }
    }`,
    false,
  )}`;
  return { declarations, begin, loop, finish };
}
