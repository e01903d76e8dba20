import type { HostKv } from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';
import { type BlockIdentity, decodeBlock, encodeBlock } from './block-file.ts';
import type { KvTier } from './kv-tier.ts';
import type { StoredBlock } from './tier-list.ts';

/** Blocks of a cache in a store. What the store does not take, loses or damages is missing, and no more than that. */
export class BlockArchive {
  readonly name: string;
  readonly #store: KvTier;
  readonly #shape: KvShape;
  readonly #blockSize: number;
  readonly #onNote: ((note: string) => void) | undefined;
  /** Told from those of other caches by a random number. */
  readonly #prefix: string = crypto.randomUUID();
  readonly #writing: Set<Promise<void>> = new Set();
  readonly #sizes: Map<string, number> = new Map();
  #count = 0;

  constructor(store: KvTier, shape: KvShape, blockSize: number, onNote: ((note: string) => void) | undefined) {
    this.name = store.name;
    this.#store = store;
    this.#shape = shape;
    this.#blockSize = blockSize;
    this.#onNote = onNote;
  }

  /** Bytes that were written and not deleted. */
  get bytes(): number {
    let sum = 0;
    for (const size of this.#sizes.values()) sum += size;
    return sum;
  }

  /** Writes a block; until that is done it is read from memory. */
  write(rows: HostKv | Promise<HostKv>): StoredBlock {
    const block: StoredBlock = { key: `${this.#prefix}-${this.#count++}`, holders: 1, rows, lost: false };
    const writing = this.#put(block, rows).catch((error: unknown) => {
      block.lost = true;
      this.#note(`${block.key} was not written: ${error instanceof Error ? error.message : String(error)}`);
    });
    const done = writing.then(() => {
      block.rows = undefined;
      this.#writing.delete(done);
    });
    this.#writing.add(done);
    return block;
  }

  /** The rows of a block; undefined where the store has not, or no longer, got them. */
  async read(block: StoredBlock): Promise<HostKv | undefined> {
    if (block.rows) return block.rows;
    if (block.lost) return undefined;
    try {
      const [bytes] = await this.#store.read([block.key]);
      const rows = bytes && (await decodeBlock(this.#identity(block), bytes));
      if (!rows) this.#note(`${block.key} is ${bytes ? 'damaged, or of something else' : 'missing'}`);
      return rows;
    } catch (error) {
      this.#note(`${block.key} was not read: ${error instanceof Error ? error.message : String(error)}`);
      return undefined;
    }
  }

  /** Gives up one holder's claim. */
  release(block: StoredBlock): void {
    if (--block.holders > 0) return;
    const gone = Promise.all(this.#writing).then(async () => {
      if (block.lost) return;
      this.#sizes.delete(block.key);
      await this.#store.delete([block.key]);
    });
    const done = gone
      .catch((error: unknown) => this.#note(`${block.key} was not deleted: ${String(error)}`))
      .finally(() => this.#writing.delete(done));
    this.#writing.add(done);
  }

  /** Resolves when nothing is being written or deleted. */
  async settled(): Promise<void> {
    while (this.#writing.size > 0) await Promise.all(this.#writing);
  }

  async #put(block: StoredBlock, rows: HostKv | Promise<HostKv>): Promise<void> {
    const bytes = await encodeBlock(this.#identity(block), await rows);
    await this.#store.write([{ key: block.key, bytes }]);
    this.#sizes.set(block.key, bytes.length);
  }

  #identity({ key }: StoredBlock): BlockIdentity {
    return { key, shape: this.#shape, tokens: this.#blockSize };
  }
  #note(note: string): void {
    this.#onNote?.(`${this.name}: ${note}`);
  }
}
