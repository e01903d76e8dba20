import { CacheIntegrityError } from '../errors.ts';

/** Which blocks of a group are free, and how many hold each of the others. Knows no sequence and no device. */
export class BlockPool {
  readonly blocks: number;
  readonly #references: Int32Array;
  readonly #free: Int32Array;
  #freeCount: number;

  constructor(blocks: number) {
    this.blocks = blocks;
    this.#references = new Int32Array(blocks);
    // the lowest on top, so that a fresh cache is filled from the front
    this.#free = Int32Array.from({ length: blocks }, (_, i) => blocks - 1 - i);
    this.#freeCount = blocks;
  }

  get freeCount(): number {
    return this.#freeCount;
  }

  /** A free block, held once; -1 where there is none. */
  take(): number {
    if (this.#freeCount === 0) return -1;
    const block = this.#free[--this.#freeCount]!;
    this.#references[block] = 1;
    return block;
  }
  retain(block: number): void {
    this.#references[block]!++;
  }
  /** @returns how many hold it still; with none it is free */
  release(block: number): number {
    const left = --this.#references[block]!;
    if (left === 0) this.#free[this.#freeCount++] = block;
    return left;
  }
  references(block: number): number {
    return this.#references[block]!;
  }

  /** @throws CacheIntegrityError unless every block is held as often as `holders` says, or free where that is never */
  check(group: number, holders: Int32Array): void {
    const free = new Uint8Array(this.blocks);
    for (let i = 0; i < this.#freeCount; i++) {
      const block = this.#free[i]!;
      if (free[block]) throw new CacheIntegrityError(`cache: block ${block} of group ${group} is free twice`);
      free[block] = 1;
    }
    for (let block = 0; block < this.blocks; block++) {
      const counted = this.#references[block]!;
      if (counted !== holders[block])
        throw new CacheIntegrityError(
          `cache: block ${block} of group ${group} has ${counted} references, and ${holders[block]} hold it`,
        );
      if ((counted === 0) !== (free[block] === 1))
        throw new CacheIntegrityError(
          `cache: block ${block} of group ${group} has ${counted} references and is ${free[block] ? '' : 'not '}free`,
        );
    }
  }
}
