import type { Dim } from '../../../dim.ts';
import type { MatrixFragment } from '../../../executors/webgpu/matrix-fragment.ts';
import type { KernelNames } from '../../../graph/webgpu-lowering.ts';
import type { MatmulOperand } from '../spec.ts';
import type { F16x8Codec } from './dequant-f16x8.ts';

/** Halves behind each line of a tile, so that lines begin in different banks. */
const padding = 8;
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

export const isWhole = (dim: Dim, by: number): boolean => typeof dim === 'number' && dim % by === 0;

/** The text with which an operand gets into workgroup memory. */
export interface TileText {
  /** Where each load begins. */
  readonly starts: readonly string[];
  /** Loads of the tile that begins at a place of the depth. */
  load(first: string): readonly string[];
  /** What was loaded, into workgroup memory. */
  readonly store: readonly string[];
  /** Loads a fragment into a name, from a line and a place of the tile's depth on. */
  fragment(into: string, line: string, step: number, fragment: MatrixFragment): string;
}

/** Eights of halves from one line of a tile to the next. */
const pitchOf = (innerSize: number): number => (innerSize + padding) / 8;

/** Eights of halves of workgroup memory for a tile of `size` lines and `depth`. */
export function tileElements({ depthIsInner }: MatmulOperand, size: number, depth: number): number {
  const [innerSize, outerSize] = depthIsInner ? [depth, size] : [size, depth];
  return pitchOf(innerSize) * outerSize;
}

/** A tile of an operand: `size` lines of `depth`. */
export interface OperandTile {
  readonly name: 'a' | 'b';
  readonly operand: MatmulOperand;
  readonly lines: { readonly of: Dim; readonly name: 'm' | 'n' };
  readonly size: number;
  readonly depth: number;
  /** Invocations that load it. */
  readonly threads: number;
  /** Whether the depth is a whole number of tiles. */
  readonly whole: boolean;
  readonly codec?: F16x8Codec | undefined;
  /** Where it lies in workgroup memory. */
  readonly offset: number;
}

/**
 * How one operand gets into workgroup memory, line by line of its innermost axis, and into fragments. Lines outside of the
 * matrix are copies of its last, whose products nobody stores; the depth ends with zeros. What is stored in blocks becomes f16 on
 * its way from registers into workgroup memory.
 */
export function loadTile(
  { name, operand, lines, size, depth, threads, whole, codec, offset }: OperandTile,
  { array, size: sizes, shared, own }: KernelNames,
): TileText {
  const { depthIsInner } = operand;
  const [innerSize, outerSize] = depthIsInner ? [depth, size] : [size, depth];
  const [inner, outer] = depthIsInner ? [sizes.k, sizes[lines.name]] : [sizes[lines.name], sizes.k];
  const pitch = pitchOf(innerSize);
  const across = innerSize / 8;
  const count = across * outerSize;
  const loads = range(Math.ceil(count / threads));
  const base = offset > 0 ? `${offset}u + ` : '';
  const at = (load: number) => `(l + ${load * threads}u)`;
  const capped = (place: string, last: string) => (isWhole(lines.of, size) ? `(${place})` : `min(${place}, ${last})`);
  // where each load begins at depth 0, in eights; the depth moves all of them alike
  const starts = loads.map((i) => {
    const [line, eight] = [`${at(i)} / ${across}u`, `${at(i)} % ${across}u`];
    const o = depthIsInner ? capped(`${name}_line + ${line}`, `${outer} - 1u`) : line;
    const x = depthIsInner ? eight : capped(`${name}_line / 8u + ${eight}`, `${inner} / 8u - 1u`);
    return `let ${name}${i}_at = (${name}_start + ${o} * ${inner}) / 8u + ${x};`;
  });
  const step = depthIsInner ? '/ 8u' : `* (${inner} / 8u)`;
  const loaded = (into: string, eightAt: (place: string) => string, i: number, first: string) => {
    const place = `${name}${i}_at + ${first} ${step}`;
    if (whole) return `${into} = ${eightAt(place)};`;
    const place0 = depthIsInner ? `${first} + ${at(i)} % ${across}u * 8u` : `${first} + ${at(i)} / ${across}u`;
    const last = `${name}_start / 8u + ${sizes[lines.name]} * ${sizes.k} / 8u - 1u`;
    return `${into} = select(vec4<u32>(), ${eightAt(`min(${place}, ${last})`)}, ${place0} < ${sizes.k});`;
  };
  const load = (first: string) =>
    loads.flatMap((i) => [
      loaded(
        `${name}${i}_next`,
        (place) => (codec ? `${own[`${name}_raw`]}(${place})` : `${array[name]}[${place}]`),
        i,
        first,
      ),
      ...(codec?.more ? [loaded(`${name}${i}_more`, (place) => `${own[`${name}_more`]}(${place})`, i, first)] : []),
    ]);
  const store = loads.map((i) => {
    const more = codec?.more ? `${name}${i}_more` : 'vec4<u32>()';
    const halves = codec
      ? `${own[`${name}_halves`]}(${name}${i}_next, ${more}, ${name}${i}_at + depth ${step})`
      : `${name}${i}_next`;
    const text = `${shared.tiles}[${base}${at(i)} / ${across}u * ${pitch}u + ${at(i)} % ${across}u] = ${halves};`;
    return (i + 1) * threads > count ? `if (${at(i)} < ${count}u) { ${text} }` : text;
  });
  const fragment = (into: string, line: string, step: number, { M, N, K }: MatrixFragment) => {
    const type = name === 'a' ? `subgroup_matrix_left<f16, ${K}, ${M}>` : `subgroup_matrix_right<f16, ${N}, ${K}>`;
    const place = depthIsInner ? `(${line}) * ${pitch}u + ${step / 8}u` : `${step * pitch}u + (${line}) / 8u`;
    const major = (name === 'a') === depthIsInner ? 'row_major' : 'col_major';
    return `let ${into} = subgroupMatrixLoad<${type}, ${major}>(&${shared.tiles}, ${base}${place}, ${pitch}u);`;
  };
  return { starts, load, store, fragment };
}
