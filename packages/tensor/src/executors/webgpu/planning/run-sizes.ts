import type { Dim, DimSymbol, SymbolValues } from '../../../dim.ts';
import type { Step } from '../values.ts';
import { SizeCache } from './size-cache.ts';

/** Where a step's parameter block lies. */
export interface BlockRange {
  readonly offset: number;
  readonly byteLength: number;
}

/** Uniform buffers are bound at multiples of this many bytes. */
const blockAlignment = 256;

/**
 * What of a plan depends on the sizes of a run: the parameter blocks of its steps and their workgroups. Only what depends on
 * a size that changed is computed again.
 */
export class RunSizes {
  /** The parameter blocks, as they lie in the plan's uniform buffer. */
  readonly words: Uint32Array<ArrayBuffer>;
  readonly blocks: readonly (BlockRange | undefined)[];
  /** Three numbers for each step. */
  readonly workgroups: Uint32Array;
  readonly #steps: readonly Step[];
  readonly #cache: SizeCache;
  readonly #fields: readonly { readonly dim: Dim; readonly places: readonly number[] }[];
  /** By field and by step, which symbolic dimensions it depends on, a bit each: found when it is first computed. */
  readonly #ofFields: number[] = [];
  readonly #ofSteps: number[] = [];
  /** Whether everything is as the last sizes want it. */
  #complete = false;

  constructor(steps: readonly Step[], symbols: readonly DimSymbol[]) {
    this.#steps = steps;
    this.#cache = new SizeCache(symbols);
    this.workgroups = new Uint32Array(3 * steps.length);
    const { blocks, fields, byteLength } = layOut(steps);
    this.blocks = blocks;
    this.words = new Uint32Array(byteLength / 4);
    this.#fields = [...fields.values()];
  }

  /** Takes the sizes of a run. @returns whether parameter blocks changed */
  update(values: SymbolValues): boolean {
    const changed = this.#cache.update(values);
    const all = !this.#complete;
    if (changed === 0 && !all) return false;
    this.#complete = false; // and stays so where a size is refused
    const rewritten = this.#updateFields(changed, all);
    this.#updateSteps(changed, all);
    this.#complete = true;
    return rewritten || all;
  }

  #updateFields(changed: number, all: boolean): boolean {
    const cache = this.#cache;
    let rewritten = false;
    for (let i = 0; i < this.#fields.length; i++) {
      if (!all && (this.#ofFields[i]! & changed) === 0) continue;
      const { dim, places } = this.#fields[i]!;
      cache.asked = 0;
      const value = cache.size(dim);
      this.#ofFields[i] = cache.asked;
      for (let k = 0; k < places.length; k++) this.words[places[k]!] = value;
      rewritten = true;
    }
    return rewritten;
  }

  #updateSteps(changed: number, all: boolean): void {
    const cache = this.#cache;
    for (let i = 0; i < this.#steps.length; i++) {
      if (!all && (this.#ofSteps[i]! & changed) === 0) continue;
      cache.asked = 0;
      const counts = this.#steps[i]!.workgroups(cache.size);
      // a count may ask for other sizes the next time
      this.#ofSteps[i] = cache.asked | (this.#ofSteps[i] ?? 0);
      this.workgroups[3 * i] = counts[0];
      this.workgroups[3 * i + 1] = counts[1];
      this.workgroups[3 * i + 2] = counts[2];
    }
  }
}

/** Places the parameter blocks; equal ones are one. */
function layOut(steps: readonly Step[]) {
  const known = new Map<string, BlockRange>();
  const fields = new Map<string, { readonly dim: Dim; readonly places: number[] }>();
  let byteLength = 0;
  const blocks = steps.map(({ parameters }) => {
    if (parameters.length === 0) return undefined;
    const key = parameters.join();
    let block = known.get(key);
    if (!block) {
      block = { offset: byteLength, byteLength: Math.ceil(parameters.length / 4) * 16 };
      known.set(key, block);
      parameters.forEach((dim, i) => {
        const field = fields.get(String(dim)) ?? { dim, places: [] };
        field.places.push(block!.offset / 4 + i);
        fields.set(String(dim), field);
      });
      byteLength += Math.ceil(block.byteLength / blockAlignment) * blockAlignment;
    }
    return block;
  });
  return { blocks, fields, byteLength };
}
