import type { KernelNames, MatrixFragment } from '@heddle/tensor';
import { f32, lowest } from '../tiles/score.wgsl.ts';
import { type ForwardHooks, type ForwardTile, forwardTileSizes } from './forward-tile.ts';
import {
  each,
  fragmentTypes,
  headPitch,
  type MatrixKernelText,
  range,
  type TileLoads,
  tileLoads,
} from './load-tile.ts';

/** Weights grow up to 2^8 before sums are scaled down anew: the probabilities in f16 bear it. */
const slack = 8;

/**
 * Attention in f16 by subgroup matrices, sums in f32 (https://arxiv.org/abs/2205.14135): a subgroup takes queries of its own,
 * the subgroups share tiles of keys and values. Fragments give no access to single values, so scores and probabilities go
 * through workgroup memory, where lanes have rows; the sums stay in fragments, and are scaled down only when the maximum of
 * a row has grown by more than 2^8. Between two tiles there are three barriers.
 *
 * The text around has `local`, `subgroup`, `lane`, `query_first`, `params` and the variables `tile` and `next` with the keys'
 * begin as `.first`, of which `next` is the first tile, and `more`.
 */
export function forwardText(
  names: KernelNames,
  D: number,
  tile: ForwardTile,
  fragment: MatrixFragment,
  hooks: ForwardHooks,
): Omit<MatrixKernelText, 'functions'> {
  const layout = layoutOf(names, D, tile, fragment, hooks);
  return { begin: beginText(layout), loop: loopText(layout), finish: finishText(layout) };
}

type Layout = ReturnType<typeof layoutOf>;

/** How a workgroup's tiles lie, and the texts that bring them there. */
function layoutOf(
  { array, shared }: KernelNames,
  D: number,
  tile: ForwardTile,
  fragment: MatrixFragment,
  hooks: ForwardHooks,
) {
  const { M, N, K, lanes } = fragment;
  const { down, across = 1, keys, early = false, stay = false } = tile;
  const { rows, perRow, fours, threads, scorePitch, weightPitch } = forwardTileSizes(tile, fragment);
  const { left, right, result } = fragmentTypes(fragment);
  const [columns, steps, parts, inner] = [keys / across / N, D / K, D / across / N, keys / K];
  // lanes have rows to themselves, or share them with lanes of the same subgroup
  const lines = rows / across;
  const pitch = headPitch(D);
  const [k, v] = (['k', 'v'] as const).map((name) =>
    tileLoads({ next: `${name}_next`, at: (place) => `${shared[`${name}_tile`]}[${place}]` }, keys, D, threads),
  ) as [TileLoads, TileLoads];
  const row = (i: number) => `own + ${i * M * scorePitch}u`;
  const { change } = hooks;
  const inBase2 = change ? '' : ` * ${f32(Math.LOG2E)}`;
  const fourOf = (text: (j: number) => string) => `vec4<f32>(${range(4).map(text).join(', ')})`;
  // queries come through the tile of scores, as many columns at a time as there is room for
  const [place, placePitch] = stay ? [shared.q_tile, pitch] : [shared.s_tile, scorePitch];
  const room = stay ? D : Math.floor(scorePitch / (K / 8)) * K;
  const queryLoad = (r: number, s: number, from: number) =>
    `let q${r}_${s} = subgroupMatrixLoad<${left}, row_major>(&${place}, (own_first + ${r * M}u) * ${placePitch}u + ${(s * K - from) / 8}u, ${placePitch}u);`;
  const queryParts = Array.from({ length: Math.ceil(D / room) }, (_, i) => ({
    from: i * room,
    width: Math.min(room, D - i * room),
  }));
  const fetch = hooks.fetch ?? ((_tile, from) => from(array.k!, array.v!));
  const fetchKeys = fetch('next', (from) => k.fetch(from, (x) => hooks.keyHead('next', x)));
  const fetchValues = fetch('tile', (_, from) => v.fetch(from, (x) => hooks.keyHead('tile', x)));
  const reads = `${fetchValues}
    if (more) { ${fetchKeys} }`;
  // a weight of 0 takes nothing of a value, also where 0 times it is NaN; where all is seen there is no such weight
  const puts = `${v.put}
    ${k.put}
    if (!(${hooks.allFree})) {
      ${v.clean((x) => `atomicStore(&${shared.odd_keys}[${x}], count); atomicStore(&${shared.grown}, count);`)}
    }`;
  return {
    ...{ array, shared, D, hooks, M, N, K, lanes, down, across, keys, early, stay, rows, perRow, fours, threads },
    ...{ scorePitch, weightPitch, left, right, result, columns, steps, parts, inner, lines, pitch, k, v, row, change },
    ...{ inBase2, fourOf, queryLoad, queryParts, place, placePitch, fetchKeys, reads, puts },
  };
}

/** Places of lanes, the queries, and sums of nothing. */
function beginText(layout: Layout): string {
  const { K, lanes, down, across, keys, stay, rows, fours, threads, scorePitch, weightPitch, result, parts } = layout;
  const { lines, k, v, array, shared, D, hooks, queryLoad, queryParts, place, placePitch } = layout;
  return `
  let role = subgroup % ${across}u;
  let own_first = subgroup / ${across}u * ${rows}u;
  let own = own_first * ${scorePitch}u;
  let own_weights = own_first * ${weightPitch}u;
  let line = role * ${lines}u + lane % ${lines}u;
  let part = lane / ${lines}u;
  let mine = own + line * ${scorePitch}u + part * ${fours}u;
  let my_weights = own_weights + line * ${weightPitch}u + part * ${fours / 2}u;
  let query_id = query_first + own_first + line;
  if (local == 0u) { atomicStore(&${shared.grown}, 0u); }
  for (var x = local; x < ${keys}u; x += ${threads}u) { atomicStore(&${shared.odd_keys}[x], 0u); }
  ${queryParts
    .map(
      ({ from, width }) => `for (var x = role * ${lanes}u + lane; x < ${(rows * width) / 8}u; x += ${lanes * across}u) {
    let id = query_first + own_first + x / ${width / 8}u;
    ${place}[own_first * ${placePitch}u + x / ${width / 8}u * ${placePitch}u + x % ${width / 8}u] = ${array.q}[(${hooks.queryHead('id')}) * ${D / 8}u + ${from / 8}u + x % ${width / 8}u];
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
}

/** Tile after tile of keys and values. */
function loopText(layout: Layout): string {
  const { early, fours, k, shared, hooks, fetchKeys, reads, puts } = layout;
  return `
  if (more) { ${fetchKeys} }
  ${k.put}
  workgroupBarrier();
  while (more) {
    tile = next;
    count++;
    ${hooks.advance}
    ${early ? reads : ''}
${productsText(layout)}
    workgroupBarrier();
    ${early ? puts : reads}
${weightsText(layout)}
    ${early ? '' : puts}
    if (workgroupUniformLoad(&${shared.grown}) == count) {
    ${throughRows(layout, () => `for (var i = 0u; i < ${fours}u; i++) { ${shared.s_tile}[mine + i] = bitcast<vec4<u32>>(bitcast<vec4<f32>>(${shared.s_tile}[mine + i]) * fade); }`, true)}
    ${spoilWeights(layout)}
    }
${sumsText(layout)}
  }`;
}

/** Scores of a tile, into workgroup memory. */
function productsText(layout: Layout): string {
  const { N, K, down, across, keys, stay, scorePitch, right, result, columns, steps, pitch, row, shared, queryLoad } =
    layout;
  return `    {
    ${each(down, (r) => each(columns, (c) => `var s${r}_${c} = ${result}();`))}
    ${each(
      steps,
      (s) => `{
    ${stay ? each(down, (r) => queryLoad(r, s, 0)) : ''}
    ${each(
      columns,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, col_major>(&${shared.k_tile}, role * ${(keys / across) * pitch}u + ${c * N * pitch + (s * K) / 8}u, ${pitch}u);
    ${each(down, (r) => `s${r}_${c} = subgroupMatrixMultiplyAccumulate(q${r}_${s}, b, s${r}_${c});`)} }`,
    )} }`,
    )}
    ${each(down, (r) => each(columns, (c) => `subgroupMatrixStore<row_major>(&${shared.s_tile}, ${row(r)} + role * ${keys / across / 4}u + ${(c * N) / 4}u, s${r}_${c}, ${scorePitch}u);`))}
    }`;
}

/** Weights of a tile from its scores, with the rows' maximum and sum. */
function weightsText(layout: Layout): string {
  const { fours, change, inBase2, fourOf, shared, hooks } = layout;
  return `    let free = ${change || hooks.scale > 0 ? hooks.free : 'false'};
    if (!free) {
      for (var i = 0u; i < ${fours}u; i++) {
        let four = bitcast<vec4<f32>>(${shared.s_tile}[mine + i]);
        let key = tile.first + 4u * (part * ${fours}u + i);
        ${shared.s_tile}[mine + i] = bitcast<vec4<u32>>(${fourOf((j) => hooks.adjust(`four[${j}]`, `key + ${j}u`))}${inBase2});
      }
    }
    // in base 2 already, but where scores are made of products: their maximum is taken off exactly, however large it is
    let unit = ${change ? '1.0' : `select(1.0, ${f32(hooks.scale * Math.LOG2E)}, free)`};
    ${each(fours, (i) => `var x${i} = bitcast<vec4<f32>>(${shared.s_tile}[mine + ${i}u]);`)}
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
    ${sharedByLanes(layout, 'highest', (a, b) => `max(${a}, ${b})`)}
    var fade = 1.0;
    if (highest > top + ${f32(change ? slack * Math.LN2 : slack)}) {
      // sums of a row that saw nothing so far are 0
      if (total > 0.0) { atomicStore(&${shared.grown}, count); }
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
    ${each(fours / 2, (i) => `${shared.p_tile}[my_weights + ${i}u] = vec4<u32>(pack2x16float(x${2 * i}.xy), pack2x16float(x${2 * i}.zw), pack2x16float(x${2 * i + 1}.xy), pack2x16float(x${2 * i + 1}.zw));`)}`;
}

/** Makes weights of keys with values that are not finite NaN, unless they are 0. */
function spoilWeights(layout: Layout): string {
  const { fours, shared } = layout;
  return `for (var i = 0u; i < ${fours / 2}u; i++) {
      var eight = ${shared.p_tile}[my_weights + i];
      for (var j = 0u; j < 8u; j++) {
        let half = (eight[j / 2u] >> (j % 2u * 16u)) & 0x7fffu;
        let is_odd = atomicLoad(&${shared.odd_keys}[part * ${4 * fours}u + 8u * i + j]) == count;
        eight[j / 2u] |= select(0u, 0x7e00u << (j % 2u * 16u), is_odd & (half != 0u));
      }
      ${shared.p_tile}[my_weights + i] = eight;
    }
    workgroupBarrier();`;
}

/** Weights times values, added to the sums. */
function sumsText(layout: Layout): string {
  const { M, N, K, down, across, weightPitch, left, right, parts, inner, pitch, shared, D } = layout;
  return `    {
    ${each(
      inner,
      (s) => `{
    ${each(down, (r) => `let p${r} = subgroupMatrixLoad<${left}, row_major>(&${shared.p_tile}, own_weights + ${r * M * weightPitch + (s * K) / 8}u, ${weightPitch}u);`)}
    ${each(
      parts,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, row_major>(&${shared.v_tile}, role * ${D / across / 8}u + ${s * K * pitch + (c * N) / 8}u, ${pitch}u);
    ${each(down, (r) => `o${r}_${c} = subgroupMatrixMultiplyAccumulate(p${r}, b, o${r}_${c});`)} }`,
    )}
    }`,
    )}
    }`;
}

/** The sums, divided, to where they are stored. */
function finishText(layout: Layout): string {
  const { across, keys, fours, change, shared, D, hooks } = layout;
  return `
  ${sharedByLanes(layout, 'total', (a, b) => `${a} + ${b}`)}
  let inverse = select(0.0, 1.0 / total, total > 0.0);
  if (part == 0u) { ${hooks.storeSoftmax(`select(top${change ? '' : ` * ${f32(Math.LN2)}`}, ${lowest}, total == 0.0)`, 'select(log(total), 0.0, total == 0.0)')} }
  workgroupBarrier();
  ${throughRows(
    layout,
    (from) => `for (var i = 0u; i < ${fours}u; i++) {
      let place = part * ${fours}u + i;
      let inside = ${from / across / 4}u + place % ${keys / across / 4}u;
      let column = place / ${keys / across / 4}u * ${D / across / 4}u + inside;
      ${from + keys > D ? `if (inside < ${D / across / 4}u) ` : ''}{ ${hooks.store4('column', `bitcast<vec4<f32>>(${shared.s_tile}[mine + i]) * inverse`)} }
    }`,
    false,
  )}`;
}

/** What `change` makes of the sums' columns in pieces of a tile of scores, where lanes have their rows. */
function throughRows(
  { N, down, across, keys, scorePitch, result, row, shared, D }: Layout,
  change: (from: number) => string,
  back: boolean,
): string {
  return each(Math.ceil(D / keys), (piece) => {
    const width = Math.min(keys, D - piece * keys) / across;
    const all = (text: (r: number, c: number, at: string) => string) =>
      each(down, (r) =>
        each(width / N, (c) =>
          text(r, (piece * keys) / across / N + c, `${row(r)} + role * ${keys / across / 4}u + ${(c * N) / 4}u`),
        ),
      );
    return `${all((r, c, at) => `subgroupMatrixStore<row_major>(&${shared.s_tile}, ${at}, o${r}_${c}, ${scorePitch}u);`)}
    workgroupBarrier();
    ${change(piece * keys)}
    workgroupBarrier();
    ${back ? all((r, c, at) => `o${r}_${c} = subgroupMatrixLoad<${result}, row_major>(&${shared.s_tile}, ${at}, ${scorePitch}u);`) : ''}
    ${back ? 'workgroupBarrier();' : ''}`;
  });
}

const sharedByLanes = ({ perRow, lines }: Layout, value: string, join: (a: string, b: string) => string): string =>
  each(Math.log2(perRow), (i) => `${value} = ${join(value, `subgroupShuffleXor(${value}, ${lines * 2 ** i}u)`)};`);
