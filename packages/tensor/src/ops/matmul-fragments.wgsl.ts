import type { Dim } from '../dim.ts';
import type { KernelCall, WebGpuCapabilities } from '../executors/webgpu/lowering.ts';
import { spreadWorkgroups } from '../executors/webgpu/workgroups.ts';
import { sizeOf } from '../shape.ts';
import { matrixIndex } from './matmul-batch.ts';
import type { MatmulOperand, MatmulSpec } from './matmul-spec.ts';

/** What the adapter multiplies at once: f16 by f16 into f32. */
export interface Fragment {
  readonly M: number;
  readonly N: number;
  readonly K: number;
  /** Lanes of a subgroup. */
  readonly lanes: number;
}

/** What a workgroup computes: `m` x `n` values, `k` of the depth at a time, by `down` x `across` subgroups. */
export interface FragmentTile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly down: number;
  readonly across: number;
}

/**
 * Tiles for fragments of 16 rows, best first where they fill the GPU. Measured on an H100 at 4096 on values of few bits, 285
 * TFLOP/s with the first (230 on random values, which draw more power): without reading ahead 226, two buffers in workgroup
 * memory 164, 64 of the depth 170, 8 subgroups of 32 x 64 178, 256 x 128 or 128 x 256 values 190 to 244, a rolled inner loop
 * 276, fragments of 16 x 8 the same. Here, on random values: two arrays in workgroup memory in place of one 124, sums
 * stored straight from fragments 224, no look-out for the last row 239.
 */
const largeTiles: readonly FragmentTile[] = [
  { m: 128, n: 128, k: 32, down: 2, across: 2 },
  { m: 64, n: 128, k: 32, down: 1, across: 4 },
  { m: 64, n: 64, k: 32, down: 2, across: 2 },
  { m: 32, n: 64, k: 64, down: 1, across: 4 },
];
const smallTiles: readonly FragmentTile[] = [{ m: 32, n: 32, k: 16, down: 2, across: 2 }];
/** Halves behind each line of a tile, so that lines begin in different banks. */
const padding = 8;

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const eights = ({ type }: MatmulOperand) => {
  const inner = type.shape.at(-1)!;
  return typeof inner === 'number' && inner % 8 === 0;
};

/** The fragment with which a product can be computed so; undefined where it cannot. */
export function matmulFragment(spec: MatmulSpec, capabilities: WebGpuCapabilities): Fragment | undefined {
  const { shaderF16, subgroupId, subgroupMinSize: lanes, subgroupMaxSize, subgroupMatrices } = capabilities;
  const fits = [spec.a, spec.b].every((operand) => operand.type.dtype === 'f16' && eights(operand));
  if (!fits || !shaderF16 || !subgroupId || lanes !== subgroupMaxSize || spec.store !== 4) return undefined;
  const shape = subgroupMatrices
    .filter(({ componentType, resultComponentType }) => componentType === 'f16' && resultComponentType === 'f32')
    .filter(({ M, N, K }) => [M, N, K].every((size) => size === 8 || size === 16))
    .sort((x, y) => y.M * y.N * y.K - x.M * x.N * x.K)[0];
  return shape && { M: shape.M, N: shape.N, K: shape.K, lanes };
}

/** The largest tile with which at least `wanted` workgroups have something to do, or what was found to be faster. */
export function fragmentTile(
  { M }: Fragment,
  groups: (tile: FragmentTile) => number,
  wanted: number,
  choose: (names: readonly string[], preferred: string) => string,
): FragmentTile {
  const tiles = M === 16 ? largeTiles : smallTiles;
  const preferred = tiles.find((tile) => groups(tile) >= wanted) ?? tiles.at(-1)!;
  const nameOf = (tile: FragmentTile) => `fragments ${tile.m}x${tile.n}x${tile.k}`;
  const name = choose(tiles.map(nameOf), nameOf(preferred));
  return tiles.find((tile) => nameOf(tile) === name)!;
}

/**
 * A product of f16 matrices by subgroup matrices, sums in f32. Tiles lie in workgroup memory as they lie in memory; the next
 * ones are loaded into registers while the present ones are used. Sums go through workgroup memory on their way out.
 */
export function matmulFragments(spec: MatmulSpec, fragment: Fragment, tile: FragmentTile): KernelCall {
  const { m, k, n, a, b } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch };
  const matrix = (own: MatmulOperand) => matrixIndex('matrix', spec.batch, own.batch, parameters);
  const subgroups = tile.down * tile.across;
  const threads = subgroups * fragment.lanes;
  const [rows, columns] = [tile.m / tile.down, tile.n / tile.across];
  const [down, across] = [rows / fragment.M, columns / fragment.N];
  const whole = typeof k === 'number' && k % tile.k === 0;
  const left = stage('a', a, 'm', tile.m, tile.k, threads, whole);
  const right = stage('b', b, 'n', tile.n, tile.k, threads, whole);
  const result = `subgroup_matrix_result<f32, ${fragment.N}, ${fragment.M}>`;
  const sums = range(down).flatMap((i) => range(across).map((j) => ({ i, j })));
  const lines = (list: readonly string[], indent: number) =>
    list.map((line) => `${' '.repeat(indent)}${line}`).join('\n');
  // a strip: one line of fragments of a subgroup, f32, on its way out
  const stripFours = columns / 4;
  const strip = Math.max(left.elements + right.elements, subgroups * fragment.M * stripFours);
  const steps = range(tile.k / fragment.K).flatMap((step) => [
    '{',
    ...range(down).map((i) => left.fragment(`a${i}`, `row_of + ${i * fragment.M}u`, step * fragment.K, fragment)),
    ...range(across).map((j) => right.fragment(`b${j}`, `column_of + ${j * fragment.N}u`, step * fragment.K, fragment)),
    ...sums.map(({ i, j }) => `s${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, s${i}_${j});`),
    '}',
  ]);
  const out = range(down).flatMap((i) => [
    'workgroupBarrier();',
    ...range(across).map(
      (j) => `subgroupMatrixStore<row_major>(&tiles, own + ${(j * fragment.N) / 4}u, s${i}_${j}, ${stripFours}u);`,
    ),
    'workgroupBarrier();',
    `for (var x = lane; x < ${fragment.M * stripFours}u; x += ${fragment.lanes}u) {`,
    `  let row = a_line + row_of + ${i * fragment.M}u + x / ${stripFours}u;`,
    `  let column = b_line + column_of + x % ${stripFours}u * 4u;`,
    '  if (row < params.m && column < params.n && inside) {',
    '    y_set4((y0 + row * params.n + column) / 4u, bitcast<vec4<f32>>(tiles[own + x]));',
    '  }',
    '}',
  ]);
  return {
    label: `matmul.fragments ${tile.m}x${tile.n}`,
    buffers: [
      { name: 'a', input: 0, vector: 8 },
      { name: 'b', input: 1, vector: 8 },
      { name: 'y', output: 0, epilogue: true, vector: 4 },
    ],
    parameters,
    requires: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    body: `
// the tile of a, behind it that of b
var<workgroup> tiles: array<vec4<u32>, ${strip}>;
const b_tile = ${left.elements}u;
@compute @workgroup_size(${threads})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32, @builtin(subgroup_id) subgroup: u32, @builtin(subgroup_invocation_id) lane: u32) {
  let group = (w.z * n.y + w.y) * n.x + w.x;
  let across = (params.n + ${tile.n - 1}u) / ${tile.n}u;
  let down = (params.m + ${tile.m - 1}u) / ${tile.m}u;
  let inside = group < across * down * params.batch;
  let matrix = min(group / (across * down), params.batch - 1u);
  let a_line = group / across % down * ${tile.m}u;
  let b_line = group % across * ${tile.n}u;
  let a_start = ${matrix(a)} * params.m * params.k;
  let b_start = ${matrix(b)} * params.n * params.k;
  let row_of = subgroup / ${tile.across}u * ${rows}u;
  let column_of = subgroup % ${tile.across}u * ${columns}u;
${lines(
  sums.map(({ i, j }) => `var s${i}_${j} = ${result}();`),
  2,
)}
${lines(
  [...left.starts, ...right.starts, ...[...left.load('0u'), ...right.load('0u')].map((line) => `var ${line}`)],
  2,
)}
  for (var depth = 0u; depth < params.k; depth += ${tile.k}u) {
    workgroupBarrier();
${lines([...left.store, ...right.store], 4)}
    workgroupBarrier();
    let ahead = ${whole ? `min(depth + ${tile.k}u, params.k - ${tile.k}u)` : `depth + ${tile.k}u`};
${lines([...left.load('ahead'), ...right.load('ahead')], 4)}
${lines(steps, 4)}
  }
  let y0 = matrix * params.m * params.n;
  let own = subgroup * ${fragment.M * stripFours}u;
${lines(out, 2)}
}`,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(n) / tile.n) * Math.ceil(size(m) / tile.m) * size(batch)),
  };
}

/**
 * How one operand gets into workgroup memory, line by line of its innermost axis, and into fragments. Lines outside of the
 * matrix are copies of its last, whose products nobody stores; the depth ends with zeros.
 */
function stage(
  name: 'a' | 'b',
  operand: MatmulOperand,
  lines: 'm' | 'n',
  size: number,
  depth: number,
  threads: number,
  whole: boolean,
) {
  const { depthIsInner } = operand;
  const [innerSize, outerSize] = depthIsInner ? [depth, size] : [size, depth];
  const [inner, outer] = depthIsInner ? ['params.k', `params.${lines}`] : [`params.${lines}`, 'params.k'];
  const pitch = (innerSize + padding) / 8;
  const across = innerSize / 8;
  const count = across * outerSize;
  const loads = range(Math.ceil(count / threads));
  const base = name === 'b' ? 'b_tile + ' : '';
  const at = (load: number) => `(l + ${load * threads}u)`;
  // where each load begins at depth 0, in eights; the depth moves all of them alike
  const starts = loads.map((i) => {
    const [line, eight] = [`${at(i)} / ${across}u`, `${at(i)} % ${across}u`];
    const [o, x] = depthIsInner
      ? [`min(${name}_line + ${line}, ${outer} - 1u)`, eight]
      : [line, `min(${name}_line / 8u + ${eight}, ${inner} / 8u - 1u)`];
    return `let ${name}${i}_at = (${name}_start + ${o} * ${inner}) / 8u + ${x};`;
  });
  const step = depthIsInner ? '/ 8u' : `* (${inner} / 8u)`;
  const load = (first: string) =>
    loads.map((i) => {
      const place = `${name}${i}_at + ${first} ${step}`;
      if (whole) return `${name}${i}_next = ${name}[${place}];`;
      const place0 = depthIsInner ? `${first} + ${at(i)} % ${across}u * 8u` : `${first} + ${at(i)} / ${across}u`;
      const last = `${name}_start / 8u + params.${lines} * params.k / 8u - 1u`;
      return `${name}${i}_next = select(vec4<u32>(), ${name}[min(${place}, ${last})], ${place0} < params.k);`;
    });
  const store = loads.map((i) => {
    const text = `tiles[${base}${at(i)} / ${across}u * ${pitch}u + ${at(i)} % ${across}u] = ${name}${i}_next;`;
    return (i + 1) * threads > count ? `if (${at(i)} < ${count}u) { ${text} }` : text;
  });
  const fragment = (into: string, line: string, step: number, { M, N, K }: Fragment) => {
    const type = name === 'a' ? `subgroup_matrix_left<f16, ${K}, ${M}>` : `subgroup_matrix_right<f16, ${N}, ${K}>`;
    const place = depthIsInner ? `(${line}) * ${pitch}u + ${step / 8}u` : `${step * pitch}u + (${line}) / 8u`;
    const major = (name === 'a') === depthIsInner ? 'row_major' : 'col_major';
    return `let ${into} = subgroupMatrixLoad<${type}, ${major}>(&tiles, ${base}${place}, ${pitch}u);`;
  };
  return { elements: pitch * outerSize, starts, load, store, fragment };
}
