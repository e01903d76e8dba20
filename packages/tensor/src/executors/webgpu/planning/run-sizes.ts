import { type Dim, type DimSymbol, evaluateDim, type SymbolValues, symbolsOf } from '../../../dim.ts';
import type { Step } from '../values.ts';

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
  readonly #names: readonly string[];
  readonly #current: (number | undefined)[];
  readonly #fields: { readonly dim: Dim; readonly places: number[]; readonly depends: number }[];
  /** By step, which named dimensions its workgroups depend on: found when they are first computed. */
  readonly #depends: number[] = [];

  constructor(steps: readonly Step[], symbols: readonly DimSymbol[]) {
    this.#steps = steps;
    this.#names = symbols.map(({ name }) => name);
    this.#current = symbols.map(() => undefined);
    this.workgroups = new Uint32Array(3 * steps.length);
    const { blocks, fields, byteLength } = layOut(steps);
    this.blocks = blocks;
    this.words = new Uint32Array(byteLength / 4);
    this.#fields = [...fields.values()].map((field) => ({ ...field, depends: this.#bitsOf(field.dim) }));
  }

  /** Takes the sizes of a run. @returns whether parameter blocks changed */
  update(values: SymbolValues): boolean {
    const first = this.#depends.length === 0;
    let changed = 0;
    for (let i = 0; i < this.#names.length; i++) {
      const value = values[this.#names[i]!];
      if (value === this.#current[i]) continue;
      this.#current[i] = value;
      changed |= 1 << i;
    }
    if (!first && changed === 0) return false;
    let rewritten = first;
    for (const { dim, places, depends } of this.#fields) {
      if (!first && (depends & changed) === 0) continue;
      const value = evaluateDim(dim, values);
      for (const place of places) this.words[place] = value;
      rewritten = true;
    }
    this.#steps.forEach((step, i) => {
      if (!first && (this.#depends[i]! & changed) === 0) return;
      let depends = 0;
      const size = (dim: Dim) => {
        depends |= this.#bitsOf(dim);
        return evaluateDim(dim, values);
      };
      this.workgroups.set(step.workgroups(size), 3 * i);
      this.#depends[i] = depends | (this.#depends[i] ?? 0);
    });
    return rewritten;
  }

  #bitsOf(dim: Dim): number {
    return symbolsOf(dim).reduce((bits, { name }) => bits | (1 << this.#names.indexOf(name)), 0);
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
