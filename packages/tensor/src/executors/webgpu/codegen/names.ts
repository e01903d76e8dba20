import type { KernelNames, Prelude, PreludeFunction } from '../../../graph/webgpu-lowering.ts';
import { preludeNames } from './prelude.ts';

/** How the text of a kernel may use a buffer. */
export type BufferUse = 'at' | 'at2' | 'at4' | 'set' | 'set2' | 'set4' | 'array';
/** By what a text calls a buffer: the uses that it has of it. */
export type BufferUses = ReadonlyMap<string, ReadonlySet<BufferUse>>;

/** What the names that a kernel declares are in the text. */
export interface NameScope {
  buffer(name: string): string;
  size(name: string): string;
  shared(name: string): string;
  own(name: string): string;
}

/** The names as they are declared: those of a kernel that has a text to itself. */
export const plainScope: NameScope = {
  buffer: (name) => name,
  size: (name) => `params.${name}`,
  shared: (name) => name,
  own: (name) => name,
};

const lookup = (find: (name: string) => string): Readonly<Record<string, string>> =>
  new Proxy({}, { get: (_, name) => find(String(name)) });

/** Names of a scope, which note what is used. */
export class GivenNames implements KernelNames {
  readonly used: Map<string, Set<BufferUse>> = new Map();
  /** Functions of the prelude that were asked for. */
  readonly asked: Set<PreludeFunction> = new Set();
  readonly prelude: Prelude = preludeNames(this.asked);
  readonly at: Readonly<Record<string, string>>;
  readonly at2: Readonly<Record<string, string>>;
  readonly at4: Readonly<Record<string, string>>;
  readonly set: Readonly<Record<string, string>>;
  readonly set2: Readonly<Record<string, string>>;
  readonly set4: Readonly<Record<string, string>>;
  readonly array: Readonly<Record<string, string>>;
  readonly size: Readonly<Record<string, string>>;
  readonly shared: Readonly<Record<string, string>>;
  readonly own: Readonly<Record<string, string>>;

  constructor(scope: NameScope = plainScope) {
    const use = (how: BufferUse) =>
      lookup((name) => {
        const buffer = scope.buffer(name);
        const uses = this.used.get(buffer) ?? new Set();
        this.used.set(buffer, uses.add(how));
        return how === 'array' ? buffer : `${buffer}_${how}`;
      });
    this.at = use('at');
    this.at2 = use('at2');
    this.at4 = use('at4');
    this.set = use('set');
    this.set2 = use('set2');
    this.set4 = use('set4');
    this.array = use('array');
    this.size = lookup(scope.size);
    this.shared = lookup(scope.shared);
    this.own = lookup(scope.own);
  }
}

/** How many values a call of a buffer's function sets. */
export type SetWidth = 1 | 2 | 4;

/** How many values at once are set of a buffer that is used so. */
export function setWidths(used: ReadonlySet<BufferUse> | undefined): Set<SetWidth> {
  const widths = [1, 2, 4] as const;
  return new Set(widths.filter((width) => used?.has(width === 1 ? 'set' : `set${width}`)));
}

/**
 * Names with which the values of a buffer are set by functions of the kernel's own, `OUTPUT_set` and the like; the widths that
 * the text sets are added to `widths`.
 */
export function withOwnSets(names: KernelNames, output: string, widths: Set<SetWidth>): KernelNames {
  const through = (table: 'set' | 'set2' | 'set4', width: SetWidth) =>
    lookup((name) => {
      if (name !== output) return names[table][name]!;
      widths.add(width);
      return names.own[`${name}_${table}`]!;
    });
  const { at, at2, at4, array, size, shared, own, prelude } = names;
  return {
    at,
    at2,
    at4,
    array,
    size,
    shared,
    own,
    prelude,
    set: through('set', 1),
    set2: through('set2', 2),
    set4: through('set4', 4),
  };
}
