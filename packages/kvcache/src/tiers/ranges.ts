import type { HostKv } from '../kv-cache.ts';
import type { ColdBlock } from './tier-list.ts';

export const hostRows = async ({ rows }: ColdBlock): Promise<HostKv> => rows;

/** Ascending, neighbours as one. */
export function joinedRanges(ranges: readonly (readonly [number, number])[]): [number, number][] {
  const all: [number, number][] = [];
  for (const [start, end] of [...ranges].sort(([a], [b]) => a - b)) {
    const last = all.at(-1);
    if (last?.[1] === start) last[1] = end;
    else all.push([start, end]);
  }
  return all;
}
