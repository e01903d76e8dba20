import type { BufferUse, BufferUses, SetWidth } from './names.ts';

const uses: readonly BufferUse[] = ['at', 'at2', 'at4', 'set', 'set2', 'set4'];

/** The functions of buffers that a finished text calls: the one place where a text is searched for what it uses. */
export function usesOf(body: string, buffers: readonly string[]): BufferUses {
  return new Map(
    buffers.map((name) => {
      const called = uses.filter((use) => new RegExp(`\\b${name}_${use}\\(`).test(body));
      const asArray = new RegExp(`(?<![.\\w])${name}\\[|&${name}\\b`).test(body);
      return [name, new Set<BufferUse>(asArray ? [...called, 'array'] : called)];
    }),
  );
}

/** How many values at once are set of a buffer. */
export function setWidths(used: ReadonlySet<BufferUse> | undefined): Set<SetWidth> {
  const widths = [1, 2, 4] as const;
  return new Set(widths.filter((width) => used?.has(width === 1 ? 'set' : `set${width}`)));
}
