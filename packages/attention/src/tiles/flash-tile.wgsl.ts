import type { KernelNames, WorkgroupArray } from '@heddle/tensor';
import { notFiniteText, scoreText } from './score.wgsl.ts';

/** Sizes of a forward tile; 256 invocations. */
const [M, N] = [64, 32];
/** Fours of the head that a step of the score product takes. */
const C = 8;

/** Queries of one workgroup of the forward kernel. */
export const forwardQueries: number = M;
/** Keys of one tile. */
export const forwardKeys: number = N;
/** Fours between the rows of weights in `row_tile`. */
export const tilePitch: number = N / 4 + 1;

export const each = <T>(count: number, text: (i: number) => T): T[] => Array.from({ length: count }, (_, i) => text(i));
export const lines = (...parts: readonly (string | readonly string[])[]): string => parts.flat().join('\n');

/** How a head of D values is cut: fours, columns of a step of `tileSum`, rows of an invocation in it, and steps. */
function cutHead(D: number): { D4: number; VC: number; rowsOf: number; chunks: number } {
  const D4 = Math.ceil(D / 4);
  const VC = Math.min(16, Math.max(4, 2 ** Math.ceil(Math.log2(D4))));
  return { D4, VC, rowsOf: (M * VC) / 256, chunks: Math.ceil(D4 / VC) };
}

export type Shared = Pick<KernelNames, 'shared'>;
/** An expression of four `c` of row or column `x` of a tile. */
type LoadFour = (x: string, c: string) => string;

/** Four `c` of row or column `x`, or 0 behind the head's end. */
const loadFour = (load: LoadFour, c: string, size: number, D4: number) =>
  D4 % size === 0 ? load('x', c) : `select(vec4<f32>(), ${load('x', `min(${c}, ${D4 - 1}u)`)}, ${c} < ${D4}u)`;

/** Workgroup memory of `tileProduct` over heads of D, and of `tileSum` over V values. */
export const tileMemory = (D: number, V: number = D): Record<string, WorkgroupArray> => ({
  // rows of a product, then its weights: the less memory, the more workgroups a core holds
  row_tile: { type: 'vec4<f32>', length: M * (Math.max(C, N / 4) + 1) },
  kv_tile: { type: 'vec4<f32>', length: Math.max(N * (C + 1), N * cutHead(V).VC) },
  // whether a row that was brought in had a value that is not finite
  not_finite: { type: 'atomic<u32>' },
});

/** Functions of tiles. */
export const tileText: string = `${notFiniteText}
${scoreText}`;

/** Names of an invocation's places in a tile. */
export function tilePlaces({ shared }: Shared, D: number): string {
  return `if (local == 0u) { atomicStore(&${shared.not_finite}, 0u); }
  let tx = local % 8u; let ty = local / 8u; let vx = local % ${cutHead(D).VC}u; let vy = local / ${cutHead(D).VC}u;`;
}

/**
 * Products of the rows and columns of a tile: `NAMEri` of row `ty * 2 + r` and column `tx * 4 + i`.
 */
export function tileProduct({ shared }: Shared, name: string, row: LoadFour, column: LoadFour, D: number): string {
  const { D4 } = cutHead(D);
  return lines(
    each(2, (r) => each(4, (i) => `var ${name}${r}${i} = 0.0;`).join(' ')),
    `for (var c0 = 0u; c0 < ${D4}u; c0 += ${C}u) {`,
    `  workgroupBarrier();`,
    `  for (var i = local; i < ${M * C}u; i += 256u) {`,
    `    let c = c0 + i % ${C}u; let x = i / ${C}u;`,
    `    ${shared.row_tile}[x * ${C + 1}u + i % ${C}u] = ${loadFour(row, 'c', C, D4)};`,
    `  }`,
    // columns that one invocation takes lie apart, so that the reads of neighbours fall into different banks
    `  for (var i = local; i < ${N * C}u; i += 256u) {`,
    `    let c = c0 + i % ${C}u; let slot = i / ${C}u; let x = slot % 8u * 4u + slot / 8u;`,
    `    ${shared.kv_tile}[slot * ${C + 1}u + i % ${C}u] = ${loadFour(column, 'c', C, D4)};`,
    `  }`,
    `  workgroupBarrier();`,
    `  for (var c = 0u; c < ${C}u; c++) {`,
    each(2, (r) => `    let a${r} = ${shared.row_tile}[(ty * 2u + ${r}u) * ${C + 1}u + c];`),
    each(4, (i) => `    let b${i} = ${shared.kv_tile}[(tx + ${8 * i}u) * ${C + 1}u + c];`),
    // one value at a time: a dot product would be summed up before it is added
    each(4, (k) =>
      each(2, (r) => `    ${each(4, (i) => `${name}${r}${i} += a${r}[${k}] * b${i}[${k}];`).join(' ')}`),
    ).flat(),
    `  }`,
    `}`,
  );
}

/** Stores what `value` gives for row r and column i of this invocation for `tileSum`, over the rows that a product read. */
export function tileStore({ shared }: Shared, value: (r: number, i: number) => string): string {
  return lines(
    'workgroupBarrier();',
    each(
      2,
      (r) =>
        `${shared.row_tile}[(ty * 2u + ${r}u) * ${N / 4 + 1}u + tx] = vec4<f32>(${each(4, (i) => value(r, i)).join(', ')});`,
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
  { shared }: Shared,
  name: string,
  column: LoadFour,
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
        `  ${shared.kv_tile}[i] = select(four, vec4<f32>(), beyond);`,
        `  if (any(beyond)) { atomicStore(&${shared.not_finite}, 1u); }`,
        `}`,
        `workgroupBarrier();`,
        each(rowsOf, (i) => before(`vy * ${rowsOf}u + ${i}u`, `${name}${v}_${i}`)),
        `for (var j = 0u; j < ${N / 4}u; j++) {`,
        each(rowsOf, (i) => `  let p${i} = ${shared.row_tile}[(vy * ${rowsOf}u + ${i}u) * ${N / 4 + 1}u + j];`),
        each(4, (k) => [
          `  let v${k} = ${shared.kv_tile}[(j * 4u + ${k}u) * ${VC}u + vx];`,
          ...each(rowsOf, (i) => `  ${name}${v}_${i} += p${i}.${'xyzw'[k]} * v${k};`),
        ]).flat(),
        `}`,
        `if (atomicLoad(&${shared.not_finite}) != 0u) {`,
        `  for (var x = 0u; x < ${N}u; x++) {`,
        `    let c = ${v * VC}u + vx;`,
        `    let four = ${loadFour(column, 'c', VC, D4)};`,
        `    let beyond = select(vec4<f32>(), four, is_not_finite4(four));`,
        each(
          rowsOf,
          (i) =>
            `    { let p = ${shared.row_tile}[(vy * ${rowsOf}u + ${i}u) * ${N / 4 + 1}u + x / 4u][x % 4u]; if (p != 0.0) { ${name}${v}_${i} += p * beyond; } }`,
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

/** Loads of the functions that the text around a tile has. */
export const loadQuery: LoadFour = (x, c) => `load_query4(min(query_first + ${x}, query_count - 1u), ${c})`;
export const loadKey: LoadFour = (x, c) => `load_key4(key_first + ${x}, ${c})`;
export const loadGradient: LoadFour = (x, c) => `load_gradient4(min(query_first + ${x}, query_count - 1u), ${c})`;
export const loadValue: LoadFour = (x, c) => `load_value4(key_first + ${x}, ${c})`;
