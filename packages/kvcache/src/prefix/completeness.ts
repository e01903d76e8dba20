import type { Group } from '../blocks/group.ts';

/** Says how much of a prompt a sequence may begin with, from which blocks of it are there. */
export class Completeness {
  readonly #groups: readonly Group[];
  readonly #blockSize: number;

  constructor(groups: readonly Group[], blockSize: number) {
    this.#groups = groups;
    this.#blockSize = blockSize;
  }

  /** The most leading blocks, at most `limit`, of which every group has what the next token reads. */
  depth(limit: number, has: (column: number, group: number) => boolean): number {
    let depth = limit;
    for (const [group, { kind }] of this.#groups.entries())
      if (kind === 'all') for (let column = 0; column < depth; column++) if (!has(column, group)) depth = column;
    while (depth > 0 && !this.#groups.every((_, group) => this.#complete(depth, group, has))) depth--;
    return depth;
  }

  /** Columns of a group that a sequence of `depth` leading blocks reads, ascending. */
  *needed(depth: number, group: number): Iterable<number> {
    const { kind, keepFirst } = this.#groups[group]!;
    if (depth === 0) return;
    if (kind === 'state') {
      yield depth - 1;
      return;
    }
    const first = this.firstSeen(group, depth);
    const kept = Math.min(first, Math.ceil(keepFirst / this.#blockSize));
    for (let column = 0; column < kept; column++) yield column;
    for (let column = first; column < depth; column++) yield column;
  }

  /** The first column that is in the window of the token after `depth` blocks. */
  firstSeen(group: number, depth: number): number {
    const { window } = this.#groups[group]!;
    if (window === undefined) return 0;
    return Math.max(0, Math.floor((depth * this.#blockSize - window + 1) / this.#blockSize));
  }

  #complete(depth: number, group: number, has: (column: number, group: number) => boolean): boolean {
    if (this.#groups[group]!.kind === 'all') return true; // `depth` looked at it
    for (const column of this.needed(depth, group)) if (!has(column, group)) return false;
    return true;
  }
}
