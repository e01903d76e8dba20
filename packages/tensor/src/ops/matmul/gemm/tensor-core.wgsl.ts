import type { Dim } from '../../../dim.ts';
import { type MatrixFragment, matrixFragment } from '../../../executors/webgpu/matrix-fragment.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall, WebGpuCapabilities } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulOperand, type MatmulSpec, productFlops } from '../spec.ts';
import { f16x8CodecOf } from './dequant-f16x8.ts';
import { isWhole, loadTile, type OperandTile, tileElements } from './load-tile.wgsl.ts';
import { type Split, splitDepth, sumOfParts } from './parts.wgsl.ts';

/** What a workgroup computes: `m` x `n` values, `k` of the depth at a time, by `down` x `across` subgroups. */
export interface FragmentTile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly down: number;
  readonly across: number;
  /** Microseconds of a workgroup for a thousand of the depth, where two share a core of an H100. */
  readonly time: number;
}

/** Tiles for fragments of 16 rows, as measured on an H100: `bench/ladders/matmul-f16.ts` has what was tried. */
export const largeTiles: readonly FragmentTile[] = [
  { m: 128, n: 128, k: 32, down: 2, across: 2, time: 35 },
  { m: 64, n: 64, k: 64, down: 2, across: 2, time: 12.5 },
  { m: 32, n: 64, k: 64, down: 1, across: 4, time: 11 },
];
/** Tiles for smaller fragments. */
export const smallTiles: readonly FragmentTile[] = [{ m: 32, n: 32, k: 16, down: 2, across: 2, time: 10 }];

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
const eights = ({ type }: MatmulOperand) => {
  const inner = type.shape.at(-1)!;
  return typeof inner === 'number' && inner % 8 === 0;
};

/** The fragment with which a product can be computed so; undefined where it cannot. */
export function matmulFragment(spec: MatmulSpec, capabilities: WebGpuCapabilities): MatrixFragment | undefined {
  const halves = (operand: MatmulOperand) => operand.type.dtype === 'f16' && eights(operand);
  const blocks = f16x8CodecOf(spec.b.type.dtype) !== undefined && spec.b.depthIsInner;
  if (!halves(spec.a) || !(blocks || halves(spec.b)) || spec.store !== 4) return undefined;
  return matrixFragment(capabilities);
}

/** A product by one tile or another, its depth in one part or, where it is known whatever the run, in several. */
export function matmulTensorCore(
  spec: MatmulSpec,
  fragment: MatrixFragment,
  { tile, parts }: { readonly tile: FragmentTile; readonly parts: number },
): readonly KernelCall[] {
  const { k } = spec;
  if (parts === 1 || typeof k !== 'number') return [fragmentKernel(spec, fragment, tile, undefined)];
  const split = splitDepth(spec, k, parts, tile.k);
  return [fragmentKernel(spec, fragment, tile, split), sumOfParts(spec, split)];
}

/**
 * A product of f16 matrices by subgroup matrices, sums in f32. Tiles lie in workgroup memory as they lie in memory; the next
 * ones are loaded into registers while the present ones are used. Sums go through workgroup memory on their way out.
 */
function fragmentKernel(
  spec: MatmulSpec,
  fragment: MatrixFragment,
  tile: FragmentTile,
  split: Split | undefined,
): KernelCall {
  const { m, k, n, a, b } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch, ...(split && { depth: split.depth, parts: split.parts }) };
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
  const subgroups = tile.down * tile.across;
  const threads = subgroups * fragment.lanes;
  const [rows, columns] = [tile.m / tile.down, tile.n / tile.across];
  const [down, across] = [rows / fragment.M, columns / fragment.N];
  const single = batch === 1;
  const whole = isWhole(k, tile.k);
  const codec = f16x8CodecOf(b.type.dtype);
  const elements = tileElements(a, tile.m, tile.k);
  const shape = { depth: tile.k, threads, whole };
  const left: OperandTile = { ...shape, name: 'a', operand: a, lines: { of: m, name: 'm' }, size: tile.m, offset: 0 };
  const right: OperandTile = {
    ...shape,
    name: 'b',
    operand: b,
    lines: { of: n, name: 'n' },
    size: tile.n,
    codec,
    offset: elements,
  };
  const result = `subgroup_matrix_result<f32, ${fragment.N}, ${fragment.M}>`;
  const sums = range(down).flatMap((i) => range(across).map((j) => ({ i, j })));
  const lines = (list: readonly string[], indent: number) =>
    list.map((line) => `${' '.repeat(indent)}${line}`).join('\n');
  // a strip: one line of fragments of a subgroup, f32, on its way out
  const stripFours = columns / 4;
  const strip = Math.max(elements + tileElements(b, tile.n, tile.k), subgroups * fragment.M * stripFours);
  return {
    label: `matmul.fragments ${codec ? `${b.type.dtype} ` : ''}${tile.m}x${tile.n}`,
    buffers: [
      { name: 'a', ...a.source, vector: 8 },
      { name: 'b', ...b.source, vector: 8 },
      split
        ? { name: 'y', scratch: 'parts', type: split.type, access: 'write', vector: 4 }
        : { name: 'y', output: 0, epilogue: true, vector: 4 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    requires: ['f16', 'subgroups', 'chromium_experimental_subgroup_matrix'],
    flops: productFlops(spec),
    threads,
    builtins: {
      w: 'workgroup_id',
      n: 'num_workgroups',
      l: 'local_invocation_index',
      subgroup: 'subgroup_id',
      lane: 'subgroup_invocation_id',
    },
    // the tile of a, behind it that of b
    workgroup: { tiles: { type: 'vec4<u32>', length: strip } },
    write: (names) => {
      const {
        set4,
        size,
        shared: { tiles },
      } = names;
      const [loadA, loadB] = [loadTile(left, names), loadTile(right, names)];
      const steps = range(tile.k / fragment.K).flatMap((step) => [
        '{',
        ...range(down).map((i) => loadA.fragment(`a${i}`, `row_of + ${i * fragment.M}u`, step * fragment.K, fragment)),
        ...range(across).map((j) =>
          loadB.fragment(`b${j}`, `column_of + ${j * fragment.N}u`, step * fragment.K, fragment),
        ),
        ...sums.map(({ i, j }) => `s${i}_${j} = subgroupMatrixMultiplyAccumulate(a${i}, b${j}, s${i}_${j});`),
        '}',
      ]);
      const checks = [
        isWhole(m, tile.m) ? '' : `row < ${size.m}`,
        isWhole(n, tile.n) ? '' : `column < ${size.n}`,
      ].filter(Boolean);
      const within = checks.length > 0 ? `if (${checks.join(' && ')}) { ` : '';
      const out = range(down).flatMap((i) => [
        'workgroupBarrier();',
        ...range(across).map(
          (j) =>
            `subgroupMatrixStore<row_major>(&${tiles}, own + ${(j * fragment.N) / 4}u, s${i}_${j}, ${stripFours}u);`,
        ),
        'workgroupBarrier();',
        `for (var x = lane; x < ${fragment.M * stripFours}u; x += ${fragment.lanes}u) {`,
        `  let row = a_line + row_of + ${i * fragment.M}u + x / ${stripFours}u;`,
        `  let column = b_line + column_of + x % ${stripFours}u * 4u;`,
        `  ${within}${set4.y}((y0 + row * ${size.n} + column) / 4u, bitcast<vec4<f32>>(${tiles}[own + x]));${within && ' }'}`,
        '}',
      ]);
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let across = (${size.n} + ${tile.n - 1}u) / ${tile.n}u;
  let down = (${size.m} + ${tile.m - 1}u) / ${tile.m}u;
  if (group >= ${[...(single ? [] : [`${size.batch}`]), ...(split ? [`${size.parts}`] : []), 'across', 'down'].join(' * ')}) { return; }
  let matrix = ${single ? '0u' : `group / (across * down)${split ? ` % ${size.batch}` : ''}`};
  let part = ${split ? `group / (across * down${single ? '' : ` * ${size.batch}`})` : '0u'};
  let first = ${split ? `part * ${size.depth}` : '0u'};
  let end = ${split ? `min(first + ${size.depth}, ${size.k})` : `${size.k}`};
  let a_line = group / across % down * ${tile.m}u;
  let b_line = group % across * ${tile.n}u;
  let a_start = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b_start = ${ofB('matrix', names)} * ${size.n} * ${size.k};
  let row_of = subgroup / ${tile.across}u * ${rows}u;
  let column_of = subgroup % ${tile.across}u * ${columns}u;
${lines(
  sums.map(({ i, j }) => `var s${i}_${j} = ${result}();`),
  2,
)}
${lines(
  [...loadA.starts, ...loadB.starts, ...[...loadA.load('first'), ...loadB.load('first')].map((line) => `var ${line}`)],
  2,
)}
  for (var depth = first; depth < end; depth += ${tile.k}u) {
    workgroupBarrier();
${lines([...loadA.store, ...loadB.store], 4)}
    workgroupBarrier();
    let ahead = depth + ${tile.k}u;
    if (ahead < end) {
${lines([...loadA.load('ahead'), ...loadB.load('ahead')], 6)}
    }
${lines(steps, 4)}
  }
  let y0 = ${split ? `(part * ${size.batch} + matrix)` : 'matrix'} * ${size.m} * ${size.n};
  let own = subgroup * ${fragment.M * stripFours}u;
${lines(out, 2)}`;
      return { ...(codec && { functions: codec.functions(names) }), main };
    },
    workgroups: (size) =>
      spreadWorkgroups(Math.ceil(size(n) / tile.n) * Math.ceil(size(m) / tile.m) * size(batch) * (split?.parts ?? 1)),
  };
}
