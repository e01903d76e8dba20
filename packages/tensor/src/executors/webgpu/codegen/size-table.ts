import type { Dim } from '../../../dim.ts';
import type { KernelNames } from '../../../graph/webgpu-lowering.ts';
import { getOrMake } from '../get-or-make.ts';

/**
 * The sizes that one kernel needs, as fields of its parameter block. Texts name sizes by the order of their first use, so
 * kernels that differ in sizes alone have one text.
 */
export class SizeTable {
  readonly #prefix: string;
  readonly #given: KernelNames;
  readonly #names = new Map<string, string>();
  readonly sizes: Dim[] = [];
  readonly names: string[] = [];

  /** @param prefix of names, where others choose names too */
  constructor(given: KernelNames, prefix = '') {
    this.#given = given;
    this.#prefix = prefix;
  }

  /** A size as a `u32` expression; 1 is part of a kernel's structure. */
  expression(dim: Dim): string {
    if (dim === 1) return '1u';
    return getOrMake(this.#names, String(dim), () => this.add(`${this.#prefix}n${this.sizes.length}`, dim));
  }

  /** A size under a name of its own. */
  add(name: string, dim: Dim): string {
    this.sizes.push(dim);
    this.names.push(name);
    return this.#given.size[name]!;
  }
}
