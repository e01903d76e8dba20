import type { BufferUse, BufferUses, SetWidth } from './names.ts';

const called = /\b(\w+)_(at4|at2|at|set4|set2|set)\(/g;
const asArray = /(?<![.\w])(\w+)\[|&(\w+)/g;

/** The functions of buffers that a finished text calls: the one place where a text is searched for what it uses. */
export function usesOf(body: string, buffers: readonly string[]): BufferUses {
  const found = new Map(buffers.map((name) => [name, new Set<BufferUse>()]));
  for (const [, name, use] of body.matchAll(called)) found.get(name!)?.add(use as BufferUse);
  for (const [, indexed, pointed] of body.matchAll(asArray)) found.get((indexed ?? pointed)!)?.add('array');
  return found;
}

/** How many values at once are set of a buffer. */
export function setWidths(used: ReadonlySet<BufferUse> | undefined): Set<SetWidth> {
  const widths = [1, 2, 4] as const;
  return new Set(widths.filter((width) => used?.has(width === 1 ? 'set' : `set${width}`)));
}
