import { addDims, type Dim, multiplyDims } from '../../dim.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBuffer, KernelCall, KernelNames } from '../../graph/webgpu-lowering.ts';
import type { TensorType } from '../../shape.ts';
import type { ExpertSizes } from './attributes.ts';

/** Columns of a tile, and how much of the depth is in workgroup memory at a time. */
const [tileColumns, depth] = [128, 16];
/** Invocations: eight down, sixteen across, each with `rows / 8` by eight values of a tile. */
const threads = 128;
const sortThreads = 256;
/** Experts that one workgroup can count. */
const maxExperts = 2048;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Rows of a tile: a quarter of them may be nobody's where experts have few rows each; undefined where one row at a time is faster. */
export function groupedTileRows(rows: number, experts: number): 32 | 64 | undefined {
  if (experts > maxExperts || rows < 4 * experts || rows < 32) return undefined;
  return rows >= 40 * experts ? 64 : 32;
}

/**
 * The product with rows that are sorted by expert on the device: a workgroup for a tile of the rows of one expert and some columns of
 * its matrix, which is read once for all of them. How many tiles there are is known on the device only; as many workgroups are started
 * as there can be, and those without a tile end.
 */
export function groupedExperts(sizes: ExpertSizes, inFirst: boolean, tileRows: 32 | 64): readonly KernelCall[] {
  const { T, S, N } = sizes;
  const rows = multiplyDims(T, S);
  // the number of tiles; of each its expert, the first of its rows and their end; the rows by expert
  const type: TensorType = { shape: [addDims(multiplyDims(rows, 4), 3 * N + 1)], dtype: 'u32' };
  const plan = (access: 'read' | 'write'): KernelBuffer => ({ name: 'plan', scratch: 'plan', type, access });
  return [sortByExpert(rows, N, tileRows, plan('write')), tiles(sizes, rows, inFirst, tileRows, plan('read'))];
}

/** Where the rows stand in the plan. */
const rowsAt = (names: KernelNames, N: number) => `(3u * (${names.size.rows} + ${N}u) + 1u)`;

function sortByExpert(rows: Dim, N: number, tileRows: number, plan: KernelBuffer): KernelCall {
  return {
    label: 'expertMatmul.sort',
    buffers: [{ name: 'experts', input: 2 }, plan],
    parameters: { rows },
    threads: sortThreads,
    workgroup: {
      list: { type: 'u32', length: sortThreads },
      counts: { type: 'u32', length: N },
      firsts: { type: 'u32', length: N },
      tiles: { type: 'u32', length: N },
    },
    write: (names) => {
      const { at, set, size, shared } = names;
      const { list, counts, firsts, tiles: first } = shared;
      // each invocation looks at all rows for its own expert, in their order
      const eachOwn = (found: string) => `    for (var start = 0u; start < ${size.rows}; start += ${sortThreads}u) {
      workgroupBarrier();
      ${list}[l] = ${N}u;
      if (start + l < ${size.rows}) { ${list}[l] = u32(clamp(${at.experts}(start + l), 0, ${N - 1})); }
      workgroupBarrier();
      for (var i = 0u; i < ${sortThreads}u; i++) { if (${list}[i] == expert) { ${found} } }
    }`;
      return {
        main: `  for (var base = 0u; base < ${N}u; base += ${sortThreads}u) {
    let expert = select(${N + 1}u, base + l, base + l < ${N}u);
    var count = 0u;
${eachOwn('count++;')}
    if (expert < ${N}u) { ${counts}[expert] = count; }
  }
  workgroupBarrier();
  if (l == 0u) {
    var row = 0u;
    var tile = 0u;
    for (var e = 0u; e < ${N}u; e++) {
      ${firsts}[e] = row;
      ${first}[e] = tile;
      row += ${counts}[e];
      tile += (${counts}[e] + ${tileRows - 1}u) / ${tileRows}u;
    }
    ${set.plan}(0u, tile);
  }
  workgroupBarrier();
  for (var base = 0u; base < ${N}u; base += ${sortThreads}u) {
    let expert = select(${N + 1}u, base + l, base + l < ${N}u);
    var place = 0u;
    if (expert < ${N}u) {
      let begin = ${firsts}[expert];
      let end = begin + ${counts}[expert];
      var tile = ${first}[expert];
      for (var row = begin; row < end; row += ${tileRows}u) {
        ${set.plan}(3u * tile + 1u, expert);
        ${set.plan}(3u * tile + 2u, row);
        ${set.plan}(3u * tile + 3u, min(row + ${tileRows}u, end));
        tile++;
      }
      place = ${rowsAt(names, N)} + begin;
    }
${eachOwn(`${set.plan}(place, start + i); place++;`)}
  }`,
      };
    },
    workgroups: () => [1, 1, 1],
  };
}

function tiles(
  { N, K, M, S, shared: isShared }: ExpertSizes,
  rows: Dim,
  inFirst: boolean,
  tileRows: 32 | 64,
  plan: KernelBuffer,
): KernelCall {
  const across = Math.ceil(M / tileColumns);
  const down = tileRows / 8;
  const isFours = { x: K % 4 === 0, b: (inFirst ? M : K) % 4 === 0 };
  const [xPitch, bPitch] = [tileRows / 4 + 1, tileColumns / 4 + 1];
  const loads = { x: (tileRows * depth) / 4 / threads, b: (tileColumns * depth) / 4 / threads };
  const rowBlocks = range(down / 4);
  const lines = (list: readonly string[]) => list.join('\n');
  return {
    label: `expertMatmul.tiles ${tileRows}x${tileColumns}`,
    buffers: [
      { name: 'x', input: 0, vector: isFours.x ? 4 : 1 },
      { name: 'b', input: 1, vector: isFours.b ? 4 : 1 },
      plan,
      { name: 'y', output: 0, epilogue: true },
    ],
    parameters: { rows },
    threads,
    workgroup: {
      x_tile: { type: 'vec4<f32>', length: xPitch * depth },
      b_tile: { type: 'vec4<f32>', length: bPitch * depth },
    },
    flops: multiplyDims(rows, 2 * M * K),
    write: (names) => {
      const { at, at4, set, own, shared } = names;
      const single = (buffer: 'x' | 'b', j: number, limit: string) =>
        `select(0.0, ${at[buffer]}(start + min(i + ${j}u, ${limit} - 1u)), i + ${j}u < ${limit})`;
      const four = (buffer: 'x' | 'b', limit: string) =>
        isFours[buffer]
          ? `${at4[buffer]}((start + i) / 4u)`
          : `vec4<f32>(${range(4)
              .map((j) => single(buffer, j, limit))
              .join(', ')})`;
      const functions = `fn ${own.x_four}(start: u32, i: u32) -> vec4<f32> {
  if (i >= ${K}u) { return vec4<f32>(); }
  return ${four('x', `${K}u`)};
}
fn ${own.b_four}(matrix: u32, line: u32, i: u32) -> vec4<f32> {
  if (line >= ${inFirst ? K : M}u || i >= ${inFirst ? M : K}u) { return vec4<f32>(); }
  let start = matrix * ${K * M}u + line * ${inFirst ? M : K}u;
  return ${four('b', `${inFirst ? M : K}u`)};
}`;
      // a load is four values along the depth of one row (or column), but of matrices [in, out] along the columns
      const placeOf = (i: number) => `(l + ${i * threads}u)`;
      const rowOf = (i: number) => `${placeOf(i)} / ${depth / 4}u`;
      const fromDepth = (i: number) => `${placeOf(i)} % ${depth / 4}u * 4u`;
      const loadX = (from: string) =>
        range(loads.x).map((i) => `    x${i} = ${own.x_four}(from${i}, ${from} + ${fromDepth(i)});`);
      const loadB = (from: string) =>
        range(loads.b).map((i) =>
          inFirst
            ? `    b${i} = ${own.b_four}(expert, ${from} + ${placeOf(i)} / ${tileColumns / 4}u, column + ${placeOf(i)} % ${tileColumns / 4}u * 4u);`
            : `    b${i} = ${own.b_four}(expert, column + ${rowOf(i)}, ${from} + ${fromDepth(i)});`,
        );
      const spread = (array: string, pitch: number, i: number, value: string) =>
        range(4).map(
          (j) =>
            `    ${array}[(${fromDepth(i)} + ${j}u) * ${pitch}u + ${rowOf(i)} / 4u][${rowOf(i)} % 4u] = ${value}[${j}];`,
        );
      const store = [
        ...range(loads.x).flatMap((i) => spread(shared.x_tile!, xPitch, i, `x${i}`)),
        ...range(loads.b).flatMap((i) =>
          inFirst
            ? [
                `    ${shared.b_tile}[${placeOf(i)} / ${tileColumns / 4}u * ${bPitch}u + ${placeOf(i)} % ${tileColumns / 4}u] = b${i};`,
              ]
            : spread(shared.b_tile!, bPitch, i, `b${i}`),
        ),
      ];
      const sums = range(down).flatMap((i) => range(2).map((j) => ({ i, j })));
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let tile = group / ${across}u;
  if (tile >= ${at.plan}(0u)) { return; }
  let column = group % ${across}u * ${tileColumns}u;
  let expert = ${at.plan}(3u * tile + 1u);
  let first = ${at.plan}(3u * tile + 2u);
  let end = ${at.plan}(3u * tile + 3u);
  let list = ${rowsAt(names, N)};
  let row4 = l / 16u;
  let column4 = l % 16u;
${lines(range(loads.x).map((i) => `  let from${i} = ${at.plan}(list + min(first + ${rowOf(i)}, end - 1u))${isShared ? ` / ${S}u` : ''} * ${K}u;`))}
${lines(range(loads.x).map((i) => `  var x${i} = vec4<f32>();`))}
${lines(range(loads.b).map((i) => `  var b${i} = vec4<f32>();`))}
${lines(sums.map(({ i, j }) => `  var sum_${i}_${j} = vec4<f32>();`))}
${lines([...loadX('0u'), ...loadB('0u')])}
  for (var depth = 0u; depth < ${K}u; depth += ${depth}u) {
    workgroupBarrier();
${lines(store)}
    workgroupBarrier();
${lines([...loadX(`depth + ${depth}u`), ...loadB(`depth + ${depth}u`)])}
    for (var p = 0u; p < ${depth}u; p++) {
${lines([
  ...rowBlocks.map((r) => `      let v${r} = ${shared.x_tile}[p * ${xPitch}u + ${r * 8}u + row4];`),
  ...range(2).map((c) => `      let z${c} = ${shared.b_tile}[p * ${bPitch}u + ${c * 16}u + column4];`),
  ...sums.map(
    ({ i, j }) => `      sum_${i}_${j} = fma(vec4<f32>(v${Math.floor(i / 4)}[${i % 4}]), z${j}, sum_${i}_${j});`,
  ),
])}
    }
  }
${lines(
  range(down).map((i) => {
    const place = `first + ${32 * Math.floor(i / 4)}u + 4u * row4 + ${i % 4}u`;
    const stores = range(2).flatMap((j) =>
      range(4).map((c) => {
        const at = `column + ${64 * j}u + 4u * column4 + ${c}u`;
        return `    if (${at} < ${M}u) { ${set.y}(row * ${M}u + ${at}, sum_${i}_${j}[${c}]); }`;
      }),
    );
    return `  if (${place} < end) {
    let row = ${at.plan}(list + ${place});
${stores.join('\n')}
  }`;
  }),
)}`;
      return { functions, main };
    },
    workgroups: (size) => spreadWorkgroups((Math.floor(size(rows) / tileRows) + N) * across),
  };
}
