import type { KernelNames, MatrixFragment } from '@heddle/tensor';
import { f32, lowest, notFiniteText, scoreText } from '../tiles/score.wgsl.ts';
import { type GradientHooks, type GradientTile, gradientTileSizes } from './gradient-tile.ts';
import {
  each,
  fragmentTypes,
  headPitch,
  type MatrixKernelText,
  range,
  type TileLoads,
  tileLoads,
} from './load-tile.ts';

/**
 * Gradients of attention in f16 by subgroup matrices, sums in f32, without atomics. Two subgroups share their own rows: one
 * multiplies scores, the other gradients of probabilities; both then turn them into probabilities and gradients of scores in
 * workgroup memory, and sum up by their own halves: a gradient each, or half of the columns.
 *
 * The text around has `local`, `subgroup`, `lane`, `own_first`, `params` and the variables `tile` and `next` with the others'
 * begin as `.first`, of which `next` is the first tile, and `more`.
 */
export function gradientText(
  names: KernelNames,
  D: number,
  tile: GradientTile,
  fragment: MatrixFragment,
  hooks: GradientHooks,
): MatrixKernelText {
  const layout = layoutOf(names, D, tile, fragment, hooks);
  return {
    functions: functionsText(layout),
    begin: beginText(layout),
    loop: loopText(layout),
    finish: finishText(layout),
  };
}

type Layout = ReturnType<typeof layoutOf>;

/** How a workgroup's tiles lie, and the texts that bring them there and read them. */
function layoutOf(
  { array, shared }: KernelNames,
  D: number,
  tile: GradientTile,
  fragment: MatrixFragment,
  hooks: GradientHooks,
) {
  const { M, N, K, lanes } = fragment;
  const { down, others, buffers } = tile;
  const { rows, fours, own, threads, scorePitch, weightPitch } = gradientTileSizes(tile, fragment);
  const { left, right, result } = fragmentTypes(fragment);
  const byQuery = hooks.of === 'query';
  const { rescored } = hooks;
  const pitch = headPitch(D);
  const width = byQuery ? D / 2 : D;
  const [columns, steps, parts, inner] = [others / N, D / K, width / N, others / K];
  const size = others * pitch;
  /** The others' first and second rows. */
  const loads = ([0, 1] as const).map((which) => {
    const at = (place: string) => `${shared.other_tile}[to * ${2 * size}u + ${which * size}u + ${place}]`;
    return tileLoads({ next: `other${which}_next`, at }, others, D, threads);
  }) as [TileLoads, TileLoads];
  const twice = (text: (which: 0 | 1) => string) => `${text(0)}\n${text(1)}`;
  const row = (r: number) => `mine_of + ${r * M * scorePitch}u`;
  /** What rows have: the highest score where it is taken off by itself, and in WGSL where it comes from. */
  const ofRow: Readonly<Record<string, (place: string, exists: string) => string>> = {
    ...(rescored ? { top: (place) => `softmax_at(${place}).x` } : {}),
    lse: (place, exists) => `lse_of(${place}, ${exists})`,
    delta: (place) => `delta_at(${place})`,
  };
  const rowStatistics = Object.keys(ofRow);
  const { change, sloped } = hooks;
  const statistics = (text: (x: string) => string) =>
    `vec4<f32>(${range(4)
      .map((j) => text(`(4u * local + ${j}u)`))
      .join(', ')})`;
  const fetch = `${twice((which) => loads[which].fetch(array[hooks.others[which]]!, hooks.otherHead))}
    ${byQuery ? '' : `if (local < ${others / 4}u) {\n      ${rowStatistics.map((name) => `${name}_next = ${statistics((x) => ofRow[name]!(hooks.statistics(x), hooks.exists(x)))};`).join('\n      ')}\n    }`}`;
  const markOdd = (x: string) => `mark_odd(${x}, count + 1u);`;
  const statisticsPlace = `to * ${others / 4}u + local`;
  const put = (buffer: string) => `{
      let to = ${buffer};
      ${twice((which) => loads[which].put)}
      ${byQuery ? '' : `if (local < ${others / 4}u) { ${rowStatistics.map((name) => `${shared[`other_${name}`]}[${statisticsPlace}] = ${name}_next;`).join(' ')} }`}
      // a weight of 0 takes nothing of a row, also where 0 times it is NaN; where all is seen there is no such weight
      looked_at_next = !(${hooks.nextAllFree});
      if (looked_at_next) {
      ${twice((which) => loads[which].clean(markOdd))}
      ${
        byQuery
          ? ''
          : `if (local < ${others / 4}u) {
        let beyond = ${rowStatistics.map((name) => `is_not_finite4(${shared[`other_${name}`]}[${statisticsPlace}])`).join(' | ')};
        ${rowStatistics.map((name) => `${shared[`other_${name}`]}[${statisticsPlace}] = select(${shared[`other_${name}`]}[${statisticsPlace}], vec4<f32>(), beyond);`).join('\n        ')}
        for (var j = 0u; j < 4u; j++) { if (beyond[j]) { ${markOdd('(4u * local + j)')} } }
      }`
      }
      }
    }`;
  const present = buffers === 2 ? '(count & 1u)' : '0u';
  const rowAt = (name: string, i: string) =>
    byQuery ? `my_${name}` : `${shared[`other_${name}`]}[at * ${others / 4}u + part * ${fours}u + ${i}]`;
  const deltaAt = (i: string) => rowAt('delta', i);
  /** Four probabilities. */
  const weightsAt = (i: string) => {
    const score = `bitcast<vec4<f32>>(${shared.s_tile}[mine + ${i}])`;
    return `exp2(fma(${rescored ? `${score} - ${rowAt('top', i)}` : score}, unit, -${rowAt('lse', i)}))`;
  };
  return {
    ...{ array, shared, D, hooks, M, N, K, lanes, down, others, buffers, rows, fours, own, threads, scorePitch },
    ...{ weightPitch, left, right, result, byQuery, rescored, pitch, width, columns, steps, parts, inner, size, loads },
    ...{ twice, row, ofRow, rowStatistics, fetch, put, present, deltaAt, weightsAt, change, sloped },
  };
}

/** Functions of the kernel. */
function functionsText(layout: Layout): string {
  const { shared, others, rescored } = layout;
  return `
fn mark_odd(x: u32, number: u32) {
  atomicStore(&${shared.odd_rows}[number % 2u * ${others}u + x], number);
  atomicStore(&${shared.odd_tiles}[number % 2u], number);
}
fn is_odd(x: u32, number: u32) -> bool { return atomicLoad(&${shared.odd_rows}[number % 2u * ${others}u + x]) == number; }
${notFiniteText}
${scoreText}
/** In base 2,${rescored ? ' below the highest score,' : ''} and so large that nothing is left of a row that sees nothing. */
fn lse_of(place: u32, exists: bool) -> f32 {
  let softmax = softmax_at(place);
  return select(1e30, ${rescored ? 'softmax.y' : '(softmax.x + softmax.y)'} * ${f32(Math.LOG2E)}, exists & (softmax.x != ${lowest}));
}`;
}

/** Places of lanes, the subgroups' own rows, and sums of nothing. */
function beginText(layout: Layout): string {
  const { array, shared, D, hooks, K, lanes, down, others, rows, fours, own, threads, scorePitch } = layout;
  const { weightPitch, left, result, byQuery, parts, loads, twice, row, ofRow, rowStatistics } = layout;
  const room = Math.floor(scorePitch / (K / 8)) * K;
  return `
  let role = subgroup % 2u;
  let pair_first = subgroup / 2u * ${rows}u;
  let mine_of = role * ${own * scorePitch}u + pair_first * ${scorePitch}u;
  let line = (role * ${lanes}u + lane) % ${rows}u;
  let part = (role * ${lanes}u + lane) / ${rows}u;
  let mine = (pair_first + line) * ${scorePitch}u + part * ${fours}u;
  let my_weights = (pair_first + line) * ${weightPitch}u + part * ${fours / 2}u;
  let own_id = own_first + pair_first + line;
  ${each(Math.ceil(D / room), (i) => {
    const [from, wide] = [i * room, Math.min(room, D - i * room)];
    return `for (var x = lane; x < ${(rows * wide) / 8}u; x += ${lanes}u) {
    let at = (${hooks.ownHead(`own_first + pair_first + x / ${wide / 8}u`)}) * ${D / 8}u + ${from / 8}u + x % ${wide / 8}u;
    var eight: vec4<u32>;
    if (role == 0u) { eight = ${array[hooks.own[0]]}[at]; } else { eight = ${array[hooks.own[1]]}[at]; }
    ${shared.s_tile}[mine_of + x / ${wide / 8}u * ${scorePitch}u + x % ${wide / 8}u] = eight;
  }
  workgroupBarrier();
  ${each(down, (r) => each(wide / K, (s) => `let a${r}_${from / K + s} = subgroupMatrixLoad<${left}, row_major>(&${shared.s_tile}, ${row(r)} + ${(s * K) / 8}u, ${scorePitch}u);`))}
  workgroupBarrier();`;
  })}
  ${each(down, (r) => each(parts, (c) => `var o${r}_${c} = ${result}();`))}
  ${twice((which) => loads[which].registers)}
  ${rowStatistics.map((name) => (byQuery ? `let my_${name} = vec4<f32>(${ofRow[name]!(hooks.statistics('own_id'), 'true')});` : `var ${name}_next: vec4<f32>;`)).join('\n  ')}
  var count = 0u;
  // whether the tile that was put last was looked at: where all is seen, nothing is asked of workgroup memory
  var looked_at_next = false;
  if (local < 2u) { atomicStore(&${shared.odd_tiles}[local], 0u); }
  for (var x = local; x < ${2 * others}u; x += ${threads}u) { atomicStore(&${shared.odd_rows}[x], 0u); }
  workgroupBarrier();`;
}

/** Tile after tile of the others' rows. */
function loopText(layout: Layout): string {
  const { shared, hooks, buffers, fetch, put, present } = layout;
  return `
  if (more) { ${fetch} }
  ${put('0u')}
  workgroupBarrier();
  while (more) {
    tile = next;
    let at = ${present};
    let looked_at = looked_at_next;
    count++;
    ${hooks.advance}
${productsText(layout)}
    workgroupBarrier();
    if (more) { ${fetch} }
${weightsText(layout)}
    if (looked_at && atomicLoad(&${shared.odd_tiles}[count % 2u]) == count) { ${spoilWeights(layout)} }
    ${buffers === 2 ? put('(count & 1u)') : ''}
    workgroupBarrier();
${sumsText(layout)}
    ${buffers === 1 ? `workgroupBarrier();\n    ${put('0u')}\n    workgroupBarrier();` : ''}
  }`;
}

/** Scores, and gradients of probabilities, of a tile, into workgroup memory. */
function productsText(layout: Layout): string {
  const { shared, N, K, down, scorePitch, right, result, pitch, columns, steps, size, row } = layout;
  return `    {
    let right_of = at * ${2 * size}u + role * ${size}u;
    ${each(down, (r) => each(columns, (c) => `var s${r}_${c} = ${result}();`))}
    ${each(steps, (s) =>
      each(
        columns,
        (
          c,
        ) => `{ let b = subgroupMatrixLoad<${right}, col_major>(&${shared.other_tile}, right_of + ${c * N * pitch + (s * K) / 8}u, ${pitch}u);
    ${each(down, (r) => `s${r}_${c} = subgroupMatrixMultiplyAccumulate(a${r}_${s}, b, s${r}_${c});`)} }`,
      ),
    )}
    ${each(down, (r) => each(columns, (c) => `subgroupMatrixStore<row_major>(&${shared.s_tile}, ${row(r)} + ${(c * N) / 4}u, s${r}_${c}, ${scorePitch}u);`))}
    }`;
}

/** Probabilities of a tile from its scores, and gradients of scores. */
function weightsText(layout: Layout): string {
  const { shared, hooks, fours, own, scorePitch, weightPitch, byQuery, deltaAt, weightsAt, change } = layout;
  return `    let free = ${change || hooks.scale > 0 ? hooks.free : 'false'};
    if (!free) { ${makeScores(layout, hooks.adjust)} }${change ? `\n    else { ${makeScores(layout, change)} }` : ''}
    let unit = vec4<f32>(${change ? f32(Math.LOG2E) : `select(${f32(Math.LOG2E)}, ${f32(hooks.scale * Math.LOG2E)}, free)`});
    ${each(fours / 2, (i) => {
      const at = (j: number) => 2 * i + j;
      return `{
      ${range(2)
        .map(
          (j) => `let p${j} = ${weightsAt(`${at(j)}u`)};
      let d${j} = p${j} * (bitcast<vec4<f32>>(${shared.s_tile}[mine + ${own * scorePitch + at(j)}u]) - ${deltaAt(`${at(j)}u`)});`,
        )
        .join('\n      ')}
      ${shared.p_tile}[my_weights + ${i}u] = vec4<u32>(pack2x16float(d0.xy), pack2x16float(d0.zw), pack2x16float(d1.xy), pack2x16float(d1.zw));
      ${byQuery ? '' : `${shared.p_tile}[my_weights + ${own * weightPitch + i}u] = vec4<u32>(pack2x16float(p0.xy), pack2x16float(p0.zw), pack2x16float(p1.xy), pack2x16float(p1.zw));`}
    }`;
    })}`;
}

/** Makes scores of products, and has gradients of probabilities take up the slopes. */
function makeScores(layout: Layout, score: (product: string, x: string) => string): string {
  const { shared, fours, own, scorePitch, deltaAt, sloped } = layout;
  const all = (part: string) => `vec4<f32>(${range(4).map((j) => `score${j}${part}`)})`;
  const by = `${shared.s_tile}[mine + ${own * scorePitch}u + i]`;
  return `for (var i = 0u; i < ${fours}u; i++) {
        let x = 4u * (part * ${fours}u + i);
        let four = bitcast<vec4<f32>>(${shared.s_tile}[mine + i]);
        ${each(4, (j) => `let score${j} = ${score(`four[${j}]`, `x + ${j}u`)};`)}
        ${shared.s_tile}[mine + i] = bitcast<vec4<u32>>(${all(sloped ? '.x' : '')});
        ${sloped ? `let delta = ${deltaAt('i')};\n        ${by} = bitcast<vec4<u32>>((bitcast<vec4<f32>>(${by}) - delta) * ${all('.y')} + delta);` : ''}
      }`;
}

/** Makes weights of rows with values that are not finite NaN, unless they are 0. */
function spoilWeights(layout: Layout): string {
  const { shared, fours, own, weightPitch, byQuery, weightsAt } = layout;
  return `for (var i = 0u; i < ${fours}u; i++) {
      let p = ${weightsAt('i')};
      for (var e = 0u; e < 4u; e++) {
        if ((p[e] == 0.0) | !is_odd(4u * (part * ${fours}u + i) + e, count)) { continue; }
        let half = 0x7e00u << (e % 2u * 16u);
        ${shared.p_tile}[my_weights + i / 2u][i % 2u * 2u + e / 2u] |= half;
        ${byQuery ? '' : `${shared.p_tile}[my_weights + ${own * weightPitch}u + i / 2u][i % 2u * 2u + e / 2u] |= half;`}
      }
    }`;
}

/** Weights times rows, added to the sums. */
function sumsText(layout: Layout): string {
  const { shared, M, N, K, down, own, weightPitch, left, right, byQuery, pitch, width, parts, inner, size } = layout;
  return `    {
    let weights_of = ${byQuery ? '' : `role * ${own * weightPitch}u + `}pair_first * ${weightPitch}u;
    let right_of = at * ${2 * size}u + ${byQuery ? `role * ${width / 8}u` : `role * ${size}u`};
    ${each(
      inner,
      (s) => `{
    ${each(down, (r) => `let w${r} = subgroupMatrixLoad<${left}, row_major>(&${shared.p_tile}, weights_of + ${r * M * weightPitch + (s * K) / 8}u, ${weightPitch}u);`)}
    ${each(
      parts,
      (
        c,
      ) => `{ let b = subgroupMatrixLoad<${right}, row_major>(&${shared.other_tile}, right_of + ${s * K * pitch + (c * N) / 8}u, ${pitch}u);
    ${each(down, (r) => `o${r}_${c} = subgroupMatrixMultiplyAccumulate(w${r}, b, o${r}_${c});`)} }`,
    )}
    }`,
    )}
    }`;
}

/** The sums, to where they are stored. */
function finishText(layout: Layout): string {
  const { shared, hooks, N, lanes, down, others, rows, scorePitch, byQuery, width, row } = layout;
  return `
  workgroupBarrier();
  ${each(Math.ceil(width / others), (piece) => {
    const wide = Math.min(others, width - piece * others);
    const value = `bitcast<vec4<f32>>(${shared.s_tile}[mine_of + line * ${scorePitch}u + x % ${wide / 4}u])`;
    const store = (output: 0 | 1, column: string) => hooks.store4(output, 'id', column, value);
    return `${each(down, (r) => each(wide / N, (c) => `subgroupMatrixStore<row_major>(&${shared.s_tile}, ${row(r)} + ${(c * N) / 4}u, o${r}_${(piece * others) / N + c}, ${scorePitch}u);`))}
  workgroupBarrier();
  for (var x = lane; x < ${(rows * wide) / 4}u; x += ${lanes}u) {
    let line = x / ${wide / 4}u;
    let id = own_first + pair_first + line;
    let column = ${(piece * others) / 4}u + x % ${wide / 4}u;
    ${byQuery ? store(0, `(role * ${width / 4}u + column)`) : `if (role == 0u) { ${store(0, 'column')} } else { ${store(1, 'column')} }`}
  }
  workgroupBarrier();`;
  })}`;
}
