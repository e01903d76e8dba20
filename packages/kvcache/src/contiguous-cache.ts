import { ArgumentError, type Device, DisposedError } from '@heddle/tensor';
import { CacheIntegrityError } from './errors.ts';
import type {
  HostKv,
  KvBatch,
  KvCache,
  KvInputs,
  KvSequence,
  KvShape,
  KvStats,
  KvStep,
  SlotMapping,
} from './kv-cache.ts';
import { LayerStorage } from './layer-storage.ts';

export interface ContiguousCacheOptions extends KvShape {
  /** Sequences that can be open at once. */
  readonly maxSequences: number;
  /** Tokens of each; its room is set aside whether used or not. */
  readonly maxSequenceTokens: number;
}

/**
 * A cache with one contiguous block of `maxSequenceTokens` slots for each sequence: simple, and without waste where all
 * sequences are about as long as the bound.
 * @throws ArgumentError for sizes that are no positive integers; OutOfMemoryError, then nothing was allocated
 */
export function contiguousCache(device: Device, options: ContiguousCacheOptions): KvCache {
  for (const name of ['layers', 'heads', 'headDim', 'maxSequences', 'maxSequenceTokens'] as const)
    if (!Number.isSafeInteger(options[name]) || options[name] < 1)
      throw new ArgumentError(`contiguousCache: ${name} must be a positive integer, got ${options[name]}`);
  return new ContiguousCache(device, options);
}

class ContiguousCache implements KvCache {
  readonly shape: KvShape;
  readonly blockSize: number;
  readonly maxBlocks = 1;
  readonly maxSequenceTokens: number;
  readonly maxSequences: number;
  readonly #storage: LayerStorage;
  readonly #free: number[];
  readonly #sequences = new Map<string, ContiguousSequence>();
  #copying: Promise<unknown> = Promise.resolve();
  #failure: unknown;
  #disposed = false;

  constructor(device: Device, { maxSequences, maxSequenceTokens, ...shape }: ContiguousCacheOptions) {
    this.shape = shape;
    this.blockSize = maxSequenceTokens;
    this.maxSequenceTokens = maxSequenceTokens;
    this.maxSequences = maxSequences;
    this.#storage = new LayerStorage(device, shape, maxSequences * maxSequenceTokens, maxSequenceTokens);
    this.#free = Array.from({ length: maxSequences }, (_, block) => maxSequences - 1 - block);
  }

  sequence(id: string): ContiguousSequence | undefined {
    this.#assertOpen('sequence');
    if (this.#sequences.has(id)) throw new ArgumentError(`sequence: ${id} is open already`);
    const block = this.#free.pop();
    if (block === undefined) return undefined;
    const sequence = new ContiguousSequence(this, id, block);
    this.#sequences.set(id, sequence);
    return sequence;
  }

  batch(rows: readonly { readonly sequence: KvSequence; readonly tokens: number }[]): KvBatch {
    this.#assertOpen('batch');
    if (this.#failure) throw this.#failure;
    const own = rows.map(({ sequence, tokens }) => ({ sequence: this.#own(sequence), tokens }));
    const slots = new Int32Array(own.reduce((sum, { tokens }) => sum + tokens, 0));
    let row = 0;
    for (const { sequence, tokens } of own) {
      if (sequence.length + tokens > sequence.reserved)
        throw new ArgumentError(
          `batch: ${sequence.id} has ${sequence.reserved} tokens reserved, got ${sequence.length} + ${tokens}`,
        );
      const first = sequence.block * this.blockSize + sequence.length;
      for (let i = 0; i < tokens; i++) slots[row++] = first + i;
    }
    return {
      blockTable: { data: Int32Array.from(own, ({ sequence }) => sequence.block), shape: [own.length, 1] },
      lengths: Int32Array.from(own, ({ sequence }) => sequence.length),
      slots,
      maxLength: own.reduce((most, { sequence }) => Math.max(most, sequence.length), 1),
      advance: () => {
        for (const { sequence, tokens } of own) sequence.advance(tokens);
      },
    };
  }

  bind(inputs: KvInputs): KvStep {
    this.#assertOpen('bind');
    return this.#storage.bind(inputs);
  }

  stats(): KvStats {
    const open = [...this.#sequences.values()];
    return {
      sequences: open.length,
      tokens: open.reduce((sum, { length }) => sum + length, 0),
      tokenCapacity: this.maxSequences * this.maxSequenceTokens,
      blocksUsed: open.length,
      blocks: this.maxSequences,
      bytes: this.#disposed ? 0 : this.#storage.byteLength,
    };
  }

  checkIntegrity(): void {
    const blocks = [...this.#free, ...[...this.#sequences.values()].map(({ block }) => block)];
    if (new Set(blocks).size !== blocks.length || blocks.length !== this.maxSequences)
      throw new CacheIntegrityError(
        `cache: ${this.maxSequences} blocks, found ${blocks.length}, ${new Set(blocks).size} of them different`,
      );
    for (const { id, length, reserved } of this.#sequences.values())
      if (length < 0 || length > reserved || reserved > this.maxSequenceTokens)
        throw new CacheIntegrityError(
          `cache: ${id} has ${length} of ${reserved} reserved tokens, at most ${this.maxSequenceTokens}`,
        );
  }

  dispose(): void {
    if (this.#disposed) return;
    for (const sequence of this.#sequences.values()) sequence.dispose();
    this.#disposed = true;
    this.#storage.dispose();
  }

  /** Slots of positions [start, end) of a block. */
  slotsOf(block: number, start: number, end: number): Int32Array {
    return Int32Array.from({ length: end - start }, (_, i) => block * this.blockSize + start + i);
  }
  /** Copies the first tokens of a block to another; later steps see the copy. A failure is thrown by the next `batch`. */
  copy(from: number, to: number, tokens: number): void {
    if (tokens === 0) return;
    this.#copying = this.#storage
      .copy(this.slotsOf(from, 0, tokens), this.slotsOf(to, 0, tokens))
      .catch((error: unknown) => {
        this.#failure ??= error;
      });
  }
  async read(block: number, start: number, end: number): Promise<HostKv> {
    this.#assertOpen('range');
    await this.#copying;
    if (this.#failure) throw this.#failure;
    return this.#storage.read(this.slotsOf(block, start, end));
  }
  release(sequence: ContiguousSequence): void {
    this.#sequences.delete(sequence.id);
    this.#free.push(sequence.block);
  }

  #own(sequence: KvSequence): ContiguousSequence {
    const own = this.#sequences.get(sequence.id);
    if (own !== sequence) throw new ArgumentError(`batch: ${sequence.id} is no open sequence of this cache`);
    return own;
  }
  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the cache was disposed of`);
  }
}

class ContiguousSequence implements KvSequence {
  readonly id: string;
  readonly block: number;
  readonly #cache: ContiguousCache;
  #length = 0;
  #reserved = 0;
  #disposed = false;

  constructor(cache: ContiguousCache, id: string, block: number) {
    this.#cache = cache;
    this.id = id;
    this.block = block;
  }
  get length(): number {
    return this.#length;
  }
  /** Tokens that there is room for, written ones included. */
  get reserved(): number {
    return this.#reserved;
  }

  reserve(tokens: number): SlotMapping | undefined {
    this.#assertOpen('reserve');
    assertCount('reserve', tokens);
    const end = this.#length + tokens;
    if (end > this.#cache.maxSequenceTokens) return undefined;
    this.#reserved = Math.max(this.#reserved, end);
    return { start: this.#length, slots: this.#cache.slotsOf(this.block, this.#length, end) };
  }
  advance(tokens: number): void {
    this.#assertOpen('advance');
    assertCount('advance', tokens);
    if (this.#length + tokens > this.#reserved)
      throw new ArgumentError(
        `advance: ${this.id} has ${this.#reserved} tokens reserved, got ${this.#length} + ${tokens}`,
      );
    this.#length += tokens;
  }
  fork(id: string): KvSequence | undefined {
    this.#assertOpen('fork');
    const copy = this.#cache.sequence(id);
    if (!copy) return undefined;
    copy.reserve(this.#length);
    copy.advance(this.#length);
    this.#cache.copy(this.block, copy.block, this.#length);
    return copy;
  }
  truncate(length: number): void {
    this.#assertOpen('truncate');
    assertCount('truncate', length);
    if (length > this.#length)
      throw new ArgumentError(`truncate: ${this.id} has ${this.#length} tokens, got ${length}`);
    this.#length = length;
    this.#reserved = length;
  }
  async range(start: number, end: number): Promise<HostKv> {
    this.#assertOpen('range');
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= this.#length))
      throw new ArgumentError(
        `range: must lie inside the ${this.#length} tokens of ${this.id}, got [${start}, ${end})`,
      );
    return this.#cache.read(this.block, start, end);
  }
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#cache.release(this);
  }

  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: sequence ${this.id} was disposed of`);
  }
}

function assertCount(operation: string, tokens: number): void {
  if (!Number.isSafeInteger(tokens) || tokens < 0)
    throw new ArgumentError(`${operation}: takes a whole number of tokens, got ${tokens}`);
}
