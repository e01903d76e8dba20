import type { Dim } from '../../../dim.ts';
import type { KernelNames, WorkgroupArray } from '../../../graph/webgpu-lowering.ts';
import type { MatmulOperand } from '../spec.ts';
import { isWhole } from './load-tile.wgsl.ts';

const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Fours from one place of the depth to the next: one more than needed keeps the stores of one four in different banks. */
const pitchOf = (size: number): number => size / 4 + 1;

/** The text with which an operand gets into workgroup memory. */
export interface LoadedFours {
  readonly functions: string;
  /** Loads of the tile that begins at a place of the depth, into registers. */
  load(at: string): readonly string[];
  /** From registers into workgroup memory. */
  readonly store: readonly string[];
  /** Fours from one place of the depth to the next. */
  readonly pitch: number;
}

export const tileMemory = (size: number, depth: number): WorkgroupArray => ({
  type: 'vec4<f32>',
  length: pitchOf(size) * depth,
});

/**
 * How one operand gets into workgroup memory: `NAME_tile[p * pitch + line / 4][line % 4]`. A line is a row of `a`, a column
 * of `b`. Lines outside of the matrix are copies of its last, whose products nobody stores; the depth ends with zeros. Nothing
 * branches, since compilers move no loads out of branches.
 */
export function loadFours(
  name: 'a' | 'b',
  operand: MatmulOperand,
  lines: { readonly name: 'm' | 'n'; readonly of: Dim },
  size: number,
  depth: { readonly size: number; readonly of: Dim },
  threads: number,
  { at, at4, size: sizes, own, shared }: KernelNames,
): LoadedFours {
  const fours = (size * depth.size) / 4;
  const loads = range(Math.ceil(fours / threads));
  const even = fours % threads === 0;
  const pitch = pitchOf(size);
  const tile = shared[`${name}_tile`];
  const four = own[`${name}_four`];
  const { depthIsInner } = operand;
  const [ofDepth, ofLines] = [sizes.k!, sizes[lines.name]!];
  const [inner, outer] = depthIsInner ? ([ofDepth, ofLines] as const) : ([ofLines, ofDepth] as const);
  const wholeLines = even && isWhole(lines.of, size);
  const wholeDepth = even && depth.of !== 0 && isWhole(depth.of, depth.size);
  const [wholeInner, wholeOuter] = depthIsInner ? [wholeDepth, wholeLines] : [wholeLines, wholeDepth];
  const held = (place: string, whole: boolean, end: string, by: number) =>
    whole ? place : `min(${place}, max(${end}, ${by}u) - ${by}u)`;
  const line = `start + ${held('o', wholeOuter, outer, 1)} * ${inner}`;
  const values = operand.fours
    ? `${at4[name]}((${line} + ${held('i', wholeInner, inner, 4)}) / 4u)`
    : `vec4<f32>(${range(4)
        .map((j) => `${at[name]}(${line} + ${held(`(i + ${j}u)`, false, inner, 1)})`)
        .join(', ')})`;
  const within = !depthIsInner
    ? `vec4<bool>(o < ${ofDepth})`
    : operand.fours
      ? `vec4<bool>(i < ${ofDepth})`
      : `vec4<u32>(i, i + 1u, i + 2u, i + 3u) < vec4<u32>(${ofDepth})`;
  const functions = `// values i to i + 3 of line o of the innermost axis
fn ${four}(start: u32, o: u32, i: u32) -> vec4<f32> {
  return ${wholeDepth ? values : `select(vec4<f32>(), ${values}, ${within})`};
}`;
  const placeOf = (load: number) => `(l + ${load * threads}u)`;
  const guard = (load: number, text: string) =>
    (load + 1) * threads > fours ? `if (${placeOf(load)} < ${fours}u) { ${text} }` : text;
  const load = (at: string) =>
    loads.map((i) => {
      const q = placeOf(i);
      const [o, inside] = operand.depthIsInner
        ? [`${name}_line + ${q} / ${depth.size / 4}u`, `${at} + ${q} % ${depth.size / 4}u * 4u`]
        : [`${at} + ${q} / ${size / 4}u`, `${name}_line + ${q} % ${size / 4}u * 4u`];
      return `${name}${i} = ${four}(${name}_start, ${o}, ${inside});`;
    });
  const store = loads.map((i) => {
    const q = placeOf(i);
    if (!operand.depthIsInner)
      return guard(i, `${tile}[${q} / ${size / 4}u * ${pitch}u + ${q} % ${size / 4}u] = ${name}${i};`);
    const line = `${q} / ${depth.size / 4}u`;
    const sets = range(4).map(
      (j) =>
        `${tile}[(${q} % ${depth.size / 4}u * 4u + ${j}u) * ${pitch}u + ${line} / 4u][${line} % 4u] = ${name}${i}[${j}];`,
    );
    return guard(i, sets.join(' '));
  });
  return { functions, load, store, pitch };
}
