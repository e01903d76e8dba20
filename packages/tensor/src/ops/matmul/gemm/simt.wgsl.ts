import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, productFlops, storeFunction } from '../spec.ts';
import { loadFours, tileMemory } from './load-fours.wgsl.ts';
import { isWhole } from './load-tile.wgsl.ts';
import { type Split, splitDepth, sumOfParts } from './parts.wgsl.ts';

/** What a workgroup computes: `m` x `n` values, `perRow` x `perColumn` of them by each invocation, `k` of the depth at a time. */
export interface MatmulTile {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  readonly perRow: 4 | 8;
  readonly perColumn: 4 | 8;
  /**
   * Whether the steps through its depth stand in the text, each reading operands ahead of the products of the one before. On an
   * H200, [4096, 4096] by [4096, 4096] in f32: 128 x 128 values 39 TFLOP/s by a loop and 47 in the text, 64 x 64 by blocks of 8 x 4
   * 34 and 41; 32 x 64 by blocks of 4 x 4 31 either way.
   */
  readonly unrolled: boolean;
  /** Microseconds that a core of an H200 takes to a workgroup's values for a thousand of the depth, with enough of them at once. */
  readonly time: number;
}

/** Tiles as measured on an H200: `bench/ladders/matmul-f32.ts` has what was tried. */
export const simtTiles: readonly MatmulTile[] = [
  { m: 128, n: 128, k: 16, perRow: 8, perColumn: 8, unrolled: true, time: 93 },
  { m: 64, n: 64, k: 16, perRow: 8, perColumn: 4, unrolled: true, time: 26.4 },
  { m: 32, n: 64, k: 16, perRow: 4, perColumn: 4, unrolled: false, time: 17.6 },
];

const range = (count: number) => Array.from({ length: count }, (_, i) => i);
/** How 32 neighbouring invocations lie over their block, so that each read of workgroup memory serves several of them. */
const [lanesDown, lanesAcross] = [4, 8];

/** A product by one tile or another, its depth in one part or, where it is known whatever the run, in several. */
export function matmulSimt(
  spec: MatmulSpec,
  { tile, parts }: { readonly tile: MatmulTile; readonly parts: number },
): readonly KernelCall[] {
  if (parts === 1 || typeof spec.k !== 'number') return [simtKernel(spec, tile, undefined)];
  const split = splitDepth(spec, spec.k, parts, tile.k);
  return [simtKernel(spec, tile, split), sumOfParts(spec, split)];
}

/**
 * A product by tiles in workgroup memory, both with the depth outermost, and blocks of values in registers. The next tiles
 * are loaded into registers while the present ones are used.
 */
function simtKernel(spec: MatmulSpec, tile: MatmulTile, split: Split | undefined): KernelCall {
  const { m, k, n, a, b } = spec;
  const batch = sizeOf(spec.batch);
  const parameters: Record<string, Dim> = { m, k, n, batch, ...(split && { depth: split.depth, parts: split.parts }) };
  const threads = (tile.m / tile.perRow) * (tile.n / tile.perColumn);
  const warpsAcross = tile.n / tile.perColumn / lanesAcross;
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
  const [rowBlocks, columnBlocks] = [range(tile.perRow / 4), range(tile.perColumn / 4)];
  const lines = (list: readonly string[], indent: number) =>
    list.map((line) => `${' '.repeat(indent)}${line}`).join('\n');
  const sums = range(tile.perRow).flatMap((i) => columnBlocks.map((j) => ({ i, j })));
  // the fours of an invocation lie apart, so that neighbours read and write neighbouring fours
  const rowOf = (i: number) => `row0 + ${Math.floor(i / 4) * 4 * lanesDown + (i % 4)}u`;
  const columnOf = (j: number) => `column0 + ${j * 4 * lanesAcross}u`;
  return {
    label: `matmul.tiles ${tile.m}x${tile.n}`,
    buffers: [
      { name: 'a', ...a.source, vector: a.fours ? 4 : 1 },
      { name: 'b', ...b.source, vector: b.fours ? 4 : 1 },
      split
        ? { name: 'y', scratch: 'parts', type: split.type, access: 'write', vector: 4 }
        : { name: 'y', output: 0, epilogue: true, vector: spec.store === 4 ? 4 : 1 },
    ],
    parameters,
    ignoresExtraWorkgroups: true,
    flops: productFlops(spec),
    threads,
    workgroup: { a_tile: tileMemory(tile.m, tile.k), b_tile: tileMemory(tile.n, tile.k) },
    write: (names) => {
      const { size, own, shared } = names;
      const left = loadFours('a', a, { name: 'm', of: m }, tile.m, { size: tile.k, of: k }, threads, names);
      const right = loadFours('b', b, { name: 'n', of: n }, tile.n, { size: tile.k, of: k }, threads, names);
      const operands = (p: string, row: (pitch: number) => string) => [
        ...rowBlocks.map((r) => `let x${p}_${r} = ${shared.a_tile}[${row(left.pitch)} + ${r * lanesDown}u + row4];`),
        ...columnBlocks.map(
          (c) => `let z${p}_${c} = ${shared.b_tile}[${row(right.pitch)} + ${c * lanesAcross}u + column4];`,
        ),
      ];
      const products = (p: string) =>
        sums.map(
          ({ i, j }) =>
            `sum_${i}_${j} = fma(vec4<f32>(x${p}_${Math.floor(i / 4)}[${i % 4}]), z${p}_${j}, sum_${i}_${j});`,
        );
      const step = (p: number) => (p < tile.k ? operands(`${p}`, (pitch) => `${p * pitch}u`) : []);
      const steps = tile.unrolled
        ? [...step(0), ...range(tile.k).flatMap((p) => [...step(p + 1), ...products(`${p}`)])]
        : [
            `for (var p = 0u; p < ${tile.k}u; p++) {`,
            ...[...operands('', (pitch) => `p * ${pitch}u`), ...products('')].map((line) => `  ${line}`),
            '}',
          ];
      const functions = [left.functions, right.functions, storeFunction(spec, names)].join('\n');
      const main = `  let group = (w.z * n.y + w.y) * n.x + w.x;
  let across = (${size.n} + ${tile.n - 1}u) / ${tile.n}u;
  let down = (${size.m} + ${tile.m - 1}u) / ${tile.m}u;
  if (group >= across * down * ${size.batch}${split ? ` * ${size.parts}` : ''}) { return; }
  let a_line = group / across % down * ${tile.m}u;
  let b_line = group % across * ${tile.n}u;
  let matrix = group / (across * down)${split ? ` % ${size.batch}` : ''};${split ? `\n  let part = group / (across * down * ${size.batch});` : ''}
  let first = ${split ? `part * ${size.depth}` : '0u'};
  let end = ${split ? `min(first + ${size.depth}, ${size.k})` : size.k};
  let a_start = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b_start = ${ofB('matrix', names)} * ${size.n} * ${size.k};
  let row4 = l / ${32 * warpsAcross}u * ${lanesDown * rowBlocks.length}u + l % 32u / ${lanesAcross}u;
  let column4 = l / 32u % ${warpsAcross}u * ${lanesAcross * columnBlocks.length}u + l % ${lanesAcross}u;
${lines(
  sums.map(({ i, j }) => `var sum_${i}_${j} = vec4<f32>();`),
  2,
)}
${lines(
  [...left.load('first'), ...right.load('first')].map((line) => `var ${line}`),
  2,
)}
  for (var depth = first; depth < end; depth += ${tile.k}u) {
    workgroupBarrier();
${lines([...left.store, ...right.store], 4)}
    workgroupBarrier();
    let next = ${k !== 0 && isWhole(k, tile.k) ? `min(depth + ${tile.k}u, ${size.k} - ${tile.k}u)` : `depth + ${tile.k}u`};
${lines([...left.load('next'), ...right.load('next')], 4)}
${lines(steps, 4)}
  }
  let row0 = a_line + 4u * row4;
  let column0 = b_line + 4u * column4;
  let y0 = ${split ? `(part * ${size.batch} + matrix)` : 'matrix'} * ${size.m} * ${size.n};
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
    workgroups: (size) =>
      spreadWorkgroups(Math.ceil(size(n) / tile.n) * Math.ceil(size(m) / tile.m) * size(batch) * (split?.parts ?? 1)),
  };
}
