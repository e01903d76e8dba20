import type { PackedSizes } from '../attributes.ts';
import type { DecodeShape } from './split-kv.wgsl.ts';

/** How the lanes of a workgroup share keys, in `decodeLanes`. */
export interface LaneLayout {
  readonly D: number;
  /** Lanes that share a key. */
  readonly lanes: number;
  /** Groups of such lanes in a workgroup. */
  readonly groups: number;
  /** Invocations of a workgroup. */
  readonly threads: number;
  /** Query heads that share each read. */
  readonly width: number;
  /** Keys that a lane has under way. */
  readonly ahead: number;
  /** The two fours of a head that are a lane's: 0 and 1. */
  readonly fours: readonly number[];
  /** Which four of the head that is. */
  column(four: number): string;
  /** A condition, ` && ...`, that it is inside of the head; '' where all are. */
  guard(four: number): string;
  /** The four, or the head's last one: behind the head's end q is 0, so what is read there does not matter. */
  inside(four: number): string;
}

export function laneLayout(
  { D, G }: Pick<PackedSizes, 'D' | 'G'>,
  lanes: number,
  { threads, heads, ahead }: DecodeShape,
  wide: boolean,
): LaneLayout {
  const fours = [0, 1];
  // fours of a lane that are read one by one lie apart, so that neighbours read what lies together
  const column = (f: number) => (wide ? `(2u * lane + ${f}u)` : f === 0 ? 'lane' : `(lane + ${lanes}u)`);
  const guard = D / 4 === fours.length * lanes ? () => '' : (f: number) => ` && ${column(f)} < ${D / 4}u`;
  const inside = (f: number) => (guard(f) ? `min(${column(f)}, ${D / 4 - 1}u)` : column(f));
  const groups = threads / lanes;
  return { D, lanes, groups, threads, width: Math.min(G, heads), ahead, fours, column, guard, inside };
}

/** `text` of 0, 1, ... below `count`, each on a line of its own. */
export const lines = (count: number, text: (i: number) => string): string =>
  Array.from({ length: count }, (_, i) => text(i)).join('\n');

/** A sum of terms, or whatever `join` makes of two. */
export const joined = (
  count: number,
  term: (i: number) => string,
  join: (a: string, b: string) => string = (a, b) => `${a} + ${b}`,
): string => Array.from({ length: count }, (_, i) => term(i)).reduce(join);
