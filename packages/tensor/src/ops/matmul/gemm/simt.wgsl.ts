import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulOperand, type MatmulSpec, storeFunction } from '../spec.ts';

/** What a workgroup computes: `m` x `n` values, `perRow` x `perColumn` of them by each invocation, `k` of the depth at a time. */
export interface MatmulTile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly perRow: 4 | 8;
  readonly perColumn: 4 | 8;
}

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/**
 * A product by tiles in workgroup memory, both with the depth outermost, and blocks of values in registers. The next tiles
 * are loaded into registers while the present ones are used.
 */
export function matmulTiles(spec: MatmulSpec, tile: MatmulTile): KernelCall {
  const { m, k, n, a, b } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const threads = (tile.m / tile.perRow) * (tile.n / tile.perColumn);
  const across = tile.n / tile.perColumn;
  const matrix = (own: MatmulOperand) => matrixIndex('matrix', spec.batch, own.batch, parameters);
  const left = stage('a', a, 'm', tile.m, tile.k, threads);
  const right = stage('b', b, 'n', tile.n, tile.k, threads);
  const blocks = (size: number) => range(size / 4);
  const [rowBlocks, columnBlocks] = [blocks(tile.perRow), blocks(tile.perColumn)];
  const lines = (list: readonly string[], indent: number) =>
    list.map((line) => `${' '.repeat(indent)}${line}`).join('\n');
  const sums = range(tile.perRow).flatMap((i) => columnBlocks.map((j) => ({ i, j })));
  // the blocks of an invocation lie apart, so that neighbours read and write neighbouring fours
  const rowOf = (i: number) => `row0 + ${Math.floor(i / 4) * (tile.m / rowBlocks.length) + (i % 4)}u`;
  const columnOf = (j: number) => `column0 + ${j * (tile.n / columnBlocks.length)}u`;
  return {
    label: `matmul.tiles ${tile.m}x${tile.n}`,
    buffers: [
      { name: 'a', input: 0, vector: a.fours ? 4 : 1 },
      { name: 'b', input: 1, vector: b.fours ? 4 : 1 },
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    body: `
${left.declarations}
${right.declarations}
${storeFunction(spec)}
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let group = (w.z * n.y + w.y) * n.x + w.x;
  let across = (params.n + ${tile.n - 1}u) / ${tile.n}u;
  let down = (params.m + ${tile.m - 1}u) / ${tile.m}u;
  if (group >= across * down * params.batch) { return; }
  let a_line = group / across % down * ${tile.m}u;
  let b_line = group % across * ${tile.n}u;
  let matrix = group / (across * down);
  let a_start = ${matrix(a)} * params.m * params.k;
  let b_start = ${matrix(b)} * params.n * params.k;
  let row4 = l / ${across}u;
  let column4 = l % ${across}u;
${lines(
  sums.map(({ i, j }) => `var sum_${i}_${j} = vec4<f32>();`),
  2,
)}
${lines(
  [...left.load('0u'), ...right.load('0u')].map((line) => `var ${line}`),
  2,
)}
  for (var depth = 0u; depth < params.k; depth += ${tile.k}u) {
    workgroupBarrier();
${lines([...left.store, ...right.store], 4)}
    workgroupBarrier();
${lines([...left.load(`depth + ${tile.k}u`), ...right.load(`depth + ${tile.k}u`)], 4)}
    for (var p = 0u; p < ${tile.k}u; p++) {
${lines(
  [
    ...rowBlocks.map((r) => `let x${r} = a_tile[p * ${left.pitch}u + ${(r * tile.m) / rowBlocks.length / 4}u + row4];`),
    ...columnBlocks.map(
      (c) => `let z${c} = b_tile[p * ${right.pitch}u + ${(c * tile.n) / columnBlocks.length / 4}u + column4];`,
    ),
    ...sums.map(({ i, j }) => `sum_${i}_${j} = fma(vec4<f32>(x${Math.floor(i / 4)}[${i % 4}]), z${j}, sum_${i}_${j});`),
  ],
  6,
)}
    }
  }
  let row0 = a_line + 4u * row4;
  let column0 = b_line + 4u * column4;
  let y0 = matrix * params.m * params.n;
${lines(
  range(tile.perRow).map(
    (i) =>
      `if (${rowOf(i)} < params.m) { ${columnBlocks
        .map((j) => `store(y0 + (${rowOf(i)}) * params.n + ${columnOf(j)}, ${columnOf(j)}, sum_${i}_${j});`)
        .join(' ')} }`,
  ),
  2,
)}
}`,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / tile.n) * Math.ceil(size(m) / tile.m) * size(batch)),
  };
}

/**
 * How one operand gets into workgroup memory: `NAME_tile[p * pitch + line / 4][line % 4]`. A line is a row of `a`, a column
 * of `b`; outside of the matrix there are zeros.
 */
function stage(
  name: 'a' | 'b',
  operand: MatmulOperand,
  lines: 'm' | 'n',
  size: number,
  depth: number,
  threads: number,
) {
  const fours = (size * depth) / 4;
  const loads = range(Math.ceil(fours / threads));
  // a row more than needed keeps the stores of one four in different banks
  const pitch = size / 4 + 1;
  const [inner, outer] = operand.depthIsInner ? ['params.k', `params.${lines}`] : [`params.${lines}`, 'params.k'];
  const single = (j: number) => `select(0.0, ${name}_at(at + min(${j}u, ${inner} - 1u - i)), i + ${j}u < ${inner})`;
  const values = operand.fours
    ? `${name}_at4((start + o * ${inner} + i) / 4u)`
    : `vec4<f32>(${range(4).map(single).join(', ')})`;
  const declarations = `var<workgroup> ${name}_tile: array<vec4<f32>, ${pitch * depth}>;
// values i to i + 3 of line o of the innermost axis
fn ${name}_four(start: u32, o: u32, i: u32) -> vec4<f32> {
  if (o >= ${outer} || i >= ${inner}) { return vec4<f32>(); }
  ${operand.fours ? '' : `let at = start + o * ${inner} + i;\n  `}return ${values};
}`;
  const place = (load: number) => `(l + ${load * threads}u)`;
  const guard = (load: number, text: string) =>
    (load + 1) * threads > fours ? `if (${place(load)} < ${fours}u) { ${text} }` : text;
  const load = (at: string) =>
    loads.map((i) => {
      const q = place(i);
      const [o, inside] = operand.depthIsInner
        ? [`${name}_line + ${q} / ${depth / 4}u`, `${at} + ${q} % ${depth / 4}u * 4u`]
        : [`${at} + ${q} / ${size / 4}u`, `${name}_line + ${q} % ${size / 4}u * 4u`];
      return `${name}${i} = ${name}_four(${name}_start, ${o}, ${inside});`;
    });
  const store = loads.map((i) => {
    const q = place(i);
    if (!operand.depthIsInner)
      return guard(i, `${name}_tile[${q} / ${size / 4}u * ${pitch}u + ${q} % ${size / 4}u] = ${name}${i};`);
    const line = `${q} / ${depth / 4}u`;
    const sets = range(4).map(
      (j) =>
        `${name}_tile[(${q} % ${depth / 4}u * 4u + ${j}u) * ${pitch}u + ${line} / 4u][${line} % 4u] = ${name}${i}[${j}];`,
    );
    return guard(i, sets.join(' '));
  });
  return { declarations, load, store, pitch };
}
