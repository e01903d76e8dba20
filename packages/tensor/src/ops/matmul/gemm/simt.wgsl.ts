import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall, KernelNames, WorkgroupArray } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulOperand, type MatmulSpec, productFlops, storeFunction } from '../spec.ts';

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
export function matmulSimt(spec: MatmulSpec, tile: MatmulTile): KernelCall {
  const { m, k, n, a, b } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const threads = (tile.m / tile.perRow) * (tile.n / tile.perColumn);
  const across = tile.n / tile.perColumn;
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
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
      { name: 'a', ...a.source, vector: a.fours ? 4 : 1 },
      { name: 'b', ...b.source, vector: b.fours ? 4 : 1 },
      { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    flops: productFlops(spec),
    threads,
    workgroup: { a_tile: tileMemory(tile.m, tile.k), b_tile: tileMemory(tile.n, tile.k) },
    write: (names) => {
      const { size, own, shared } = names;
      const left = loadTile('a', a, 'm', tile.m, tile.k, threads, names);
      const right = loadTile('b', b, 'n', tile.n, tile.k, threads, names);
      const functions = [left.functions, right.functions, storeFunction(spec, names)].join('\n');
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let across = (${size.n} + ${tile.n - 1}u) / ${tile.n}u;
  let down = (${size.m} + ${tile.m - 1}u) / ${tile.m}u;
  if (group >= across * down * ${size.batch}) { return; }
  let a_line = group / across % down * ${tile.m}u;
  let b_line = group % across * ${tile.n}u;
  let matrix = group / (across * down);
  let a_start = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b_start = ${ofB('matrix', names)} * ${size.n} * ${size.k};
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
  for (var depth = 0u; depth < ${size.k}; depth += ${tile.k}u) {
    workgroupBarrier();
${lines([...left.store, ...right.store], 4)}
    workgroupBarrier();
${lines([...left.load(`depth + ${tile.k}u`), ...right.load(`depth + ${tile.k}u`)], 4)}
    for (var p = 0u; p < ${tile.k}u; p++) {
${lines(
  [
    ...rowBlocks.map(
      (r) => `let x${r} = ${shared.a_tile}[p * ${left.pitch}u + ${(r * tile.m) / rowBlocks.length / 4}u + row4];`,
    ),
    ...columnBlocks.map(
      (c) =>
        `let z${c} = ${shared.b_tile}[p * ${right.pitch}u + ${(c * tile.n) / columnBlocks.length / 4}u + column4];`,
    ),
    ...sums.map(({ i, j }) => `sum_${i}_${j} = fma(vec4<f32>(x${Math.floor(i / 4)}[${i % 4}]), z${j}, sum_${i}_${j});`),
  ],
  6,
)}
    }
  }
  let row0 = a_line + 4u * row4;
  let column0 = b_line + 4u * column4;
  let y0 = matrix * ${size.m} * ${size.n};
${lines(
  range(tile.perRow).map(
    (i) =>
      `if (${rowOf(i)} < ${size.m}) { ${columnBlocks
        .map((j) => `${own.store}(y0 + (${rowOf(i)}) * ${size.n} + ${columnOf(j)}, ${columnOf(j)}, sum_${i}_${j});`)
        .join(' ')} }`,
  ),
  2,
)}`;
      return { functions, main };
    },
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / tile.n) * Math.ceil(size(m) / tile.m) * size(batch)),
  };
}

/** Fours from one place of the depth to the next: one more than needed keeps the stores of one four in different banks. */
const pitchOf = (size: number): number => size / 4 + 1;

const tileMemory = (size: number, depth: number): WorkgroupArray => ({
  type: 'vec4<f32>',
  length: pitchOf(size) * depth,
});

/**
 * How one operand gets into workgroup memory: `NAME_tile[p * pitch + line / 4][line % 4]`. A line is a row of `a`, a column
 * of `b`; outside of the matrix there are zeros.
 */
function loadTile(
  name: 'a' | 'b',
  operand: MatmulOperand,
  lines: 'm' | 'n',
  size: number,
  depth: number,
  threads: number,
  { at, at4, size: sizes, own, shared }: KernelNames,
) {
  const fours = (size * depth) / 4;
  const loads = range(Math.ceil(fours / threads));
  const pitch = pitchOf(size);
  const tile = shared[`${name}_tile`];
  const four = own[`${name}_four`];
  const [inner, outer] = operand.depthIsInner ? [sizes.k, sizes[lines]] : [sizes[lines], sizes.k];
  const single = (j: number) => `select(0.0, ${at[name]}(at + min(${j}u, ${inner} - 1u - i)), i + ${j}u < ${inner})`;
  const values = operand.fours
    ? `${at4[name]}((start + o * ${inner} + i) / 4u)`
    : `vec4<f32>(${range(4).map(single).join(', ')})`;
  const functions = `// values i to i + 3 of line o of the innermost axis
fn ${four}(start: u32, o: u32, i: u32) -> vec4<f32> {
  if (o >= ${outer} || i >= ${inner}) { return vec4<f32>(); }
  ${operand.fours ? '' : `let at = start + o * ${inner} + i;\n  `}return ${values};
}`;
  const placeOf = (load: number) => `(l + ${load * threads}u)`;
  const guard = (load: number, text: string) =>
    (load + 1) * threads > fours ? `if (${placeOf(load)} < ${fours}u) { ${text} }` : text;
  const load = (at: string) =>
    loads.map((i) => {
      const q = placeOf(i);
      const [o, inside] = operand.depthIsInner
        ? [`${name}_line + ${q} / ${depth / 4}u`, `${at} + ${q} % ${depth / 4}u * 4u`]
        : [`${at} + ${q} / ${size / 4}u`, `${name}_line + ${q} % ${size / 4}u * 4u`];
      return `${name}${i} = ${four}(${name}_start, ${o}, ${inside});`;
    });
  const store = loads.map((i) => {
    const q = placeOf(i);
    if (!operand.depthIsInner)
      return guard(i, `${tile}[${q} / ${size / 4}u * ${pitch}u + ${q} % ${size / 4}u] = ${name}${i};`);
    const line = `${q} / ${depth / 4}u`;
    const sets = range(4).map(
      (j) =>
        `${tile}[(${q} % ${depth / 4}u * 4u + ${j}u) * ${pitch}u + ${line} / 4u][${line} % 4u] = ${name}${i}[${j}];`,
    );
    return guard(i, sets.join(' '));
  });
  return { functions, load, store, pitch };
}
