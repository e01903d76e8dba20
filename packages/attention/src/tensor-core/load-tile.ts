import type { MatrixFragment } from '@heddle/tensor';

export const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);
/** The texts for 0 to `count - 1`, one below the other. */
export const each = (count: number, text: (i: number) => string): string => range(count).map(text).join('\n');

/**
 * Moves `next` on to a tile in which something is seen: `seen` is the expression of it for `next` (see `blocks_of`), `advance` moves on
 * by one tile and sets `more`. Without blocks every tile is taken.
 */
export function advancing(
  advance: string,
  seen: string | undefined,
): { readonly first: string; readonly advance: string } {
  if (seen === undefined) return { first: '', advance };
  const settle = `loop {
      if (!more) { break; }
      next.seen = ${seen};
      if (next.seen != 0) { break; }
      ${advance}
    }`;
  return { first: settle, advance: `${advance}\n    ${settle}` };
}

/** The parts of a kernel, in their order: functions, and the pieces of `main`. */
export interface MatrixKernelText {
  readonly functions: string;
  readonly begin: string;
  readonly loop: string;
  readonly finish: string;
}

/** WGSL types of fragments. */
export function fragmentTypes({ M, N, K }: MatrixFragment): { left: string; right: string; result: string } {
  return {
    left: `subgroup_matrix_left<f16, ${K}, ${M}>`,
    right: `subgroup_matrix_right<f16, ${N}, ${K}>`,
    result: `subgroup_matrix_result<f32, ${N}, ${M}>`,
  };
}

/** Eights of a row of a tile of heads in workgroup memory: one more, so that rows begin in different banks. */
export const headPitch = (D: number): number => D / 8 + 1;

/** Text that brings a tile of heads into workgroup memory: into registers first, then from there. */
export interface TileLoads {
  readonly registers: string;
  /** `head` gives the place of a row's head in `buffer`, for row `x` of the tile. */
  fetch(buffer: string, head: (x: string) => string): string;
  readonly put: string;
  /**
   * Puts 0 in place of eights with values that are not finite, after `put` and by the invocations that put them; `found` says
   * what is done for their row `x` of the tile. A loop of its own: it takes no registers of the tiles that need no look.
   */
  clean(found: (x: string) => string): string;
}

/** WGSL of whether one of eight halves is not finite: the exponent has all its bits, and one more runs over. */
const isNotFinite8 = (eight: string) =>
  `any((((${eight} & vec4<u32>(0x7c007c00u)) + vec4<u32>(0x04000400u)) & vec4<u32>(0x80008000u)) != vec4<u32>())`;

/** What the loads of a tile call it. */
interface TileNames {
  /** The registers that hold a part of the next tile: `next_0`, ... */
  readonly next: string;
  /** An element of the tile. */
  readonly at: (place: string) => string;
}

/** Elements of a tile of `rows` heads of D halves. */
export const tileElements = (rows: number, D: number): number => rows * headPitch(D);

/** The loads of a tile of `rows` heads of D halves. */
export function tileLoads(tile: TileNames, rows: number, D: number, threads: number): TileLoads {
  const count = (rows * D) / 8;
  const loads = Math.ceil(count / threads);
  const at = (i: number) => `(local + ${i * threads}u)`;
  const guard = (i: number) => ((i + 1) * threads > count ? `if (${at(i)} < ${count}u) ` : '');
  const store = (i: number) =>
    `${tile.at(`${at(i)} / ${D / 8}u * ${headPitch(D)}u + ${at(i)} % ${D / 8}u`)} = ${tile.next}_${i};`;
  return {
    registers: each(loads, (i) => `var ${tile.next}_${i}: vec4<u32>;`),
    fetch: (buffer, head) =>
      each(
        loads,
        (i) =>
          `${guard(i)}{ ${tile.next}_${i} = ${buffer}[(${head(`${at(i)} / ${D / 8}u`)}) * ${D / 8}u + ${at(i)} % ${D / 8}u]; }`,
      ),
    put: each(loads, (i) => `${guard(i)}{ ${store(i)} }`),
    clean: (found) => `for (var i = local; i < ${count}u; i += ${threads}u) {
      let spot = i / ${D / 8}u * ${headPitch(D)}u + i % ${D / 8}u;
      let eight = ${tile.at('spot')};
      if (${isNotFinite8('eight')}) {
        ${tile.at('spot')} = vec4<u32>();
        ${found(`(i / ${D / 8}u)`)}
      }
    }`,
  };
}
