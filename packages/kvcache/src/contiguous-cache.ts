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
 * @throws ArgumentError for sizes that are no positive integers, another dtype; OutOfMemoryError, then nothing was allocated
 */
export function contiguousCache(device: Device, options: ContiguousCacheOptions): KvCache {
  for (const name of ['layers', 'heads', 'headDim', 'maxSequences', 'maxSequenceTokens'] as const)
    if (!Number.isSafeInteger(options[name]) || options[name] < 1)
      throw new ArgumentError(`contiguousCache: ${name} must be a positive integer, got ${options[name]}`);
  if (options.dtype !== 'f32' && options.dtype !== 'f16')
    throw new ArgumentError(`contiguousCache: dtype must be f32 or f16, got ${options.dtype}`);
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
    const own = rows.map(({ sequence, tokens }) => {
      const { block, length, reserved } = this.#own(sequence);
      if (length + tokens > reserved)
        throw new ArgumentError(`batch: ${sequence.id} has ${reserved} tokens reserved, got ${length} + ${tokens}`);
      return { sequence, tokens, block, length };
    });
    const slots = new Int32Array(own.reduce((sum, { tokens }) => sum + tokens, 0));
    let row = 0;
    for (const { block, length, tokens } of own)
      for (let i = 0; i < tokens; i++) slots[row++] = block * this.blockSize + length + i;
    return {
      blockTable: { data: Int32Array.from(own, ({ block }) => block), shape: [own.length, 1] },
      lengths: Int32Array.from(own, ({ length }) => length),
      slots,
      maxLength: own.reduce((most, { length }) => Math.max(most, length), 1),
      advance: () => {
        // all or nothing, and once: a sequence that has changed since is of another step
        for (const { sequence, length } of own)
          if (sequence.length !== length)
            throw new ArgumentError(
              `advance: the batch was laid out when ${sequence.id} had ${length} tokens, now it has ${sequence.length}`,
            );
        for (const { sequence } of own) this.#own(sequence, 'advance');
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
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Slots of positions [start, end) of a block. */
  slotsOf(block: number, start: number, end: number): Int32Array {
    return Int32Array.from({ length: end - start }, (_, i) => block * this.blockSize + start + i);
  }
  /** Copies the first tokens of a block to another; what runs later sees the copy. */
  async copy(from: number, to: number, tokens: number): Promise<void> {
    if (tokens > 0) await this.#storage.copy(this.slotsOf(from, 0, tokens), this.slotsOf(to, 0, tokens));
  }
  read(block: number, start: number, end: number): Promise<HostKv> {
    return this.#storage.read(this.slotsOf(block, start, end));
  }
  release(sequence: ContiguousSequence): void {
    this.#sequences.delete(sequence.id);
    this.#free.push(sequence.block);
  }

  #own(sequence: KvSequence, operation = 'batch'): ContiguousSequence {
    const own = this.#sequences.get(sequence.id);
    if (own !== sequence) throw new ArgumentError(`${operation}: ${sequence.id} is no open sequence of this cache`);
    own.assertUsable(operation);
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
  #copying: Promise<void> | undefined;
  #failure: unknown;
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
    this.assertUsable('reserve');
    assertCount('reserve', tokens);
    const end = this.#length + tokens;
    if (end > this.#cache.maxSequenceTokens) return undefined;
    this.#reserved = Math.max(this.#reserved, end);
    return { start: this.#length, slots: this.#cache.slotsOf(this.block, this.#length, end) };
  }
  advance(tokens: number): void {
    this.assertUsable('advance');
    assertCount('advance', tokens);
    if (this.#length + tokens > this.#reserved)
      throw new ArgumentError(
        `advance: ${this.id} has ${this.#reserved} tokens reserved, got ${this.#length} + ${tokens}`,
      );
    this.#length += tokens;
  }
  fork(id: string): KvSequence | undefined {
    this.assertUsable('fork');
    const copy = this.#cache.sequence(id);
    copy?.takeOver(this);
    return copy;
  }
  /** Becomes a copy of another sequence. Where copying fails, every later use of this one throws why. */
  takeOver(source: ContiguousSequence): void {
    this.#length = source.#length;
    this.#reserved = source.#length;
    const copying = this.#cache.copy(source.block, this.block, source.#length);
    this.#copying = Promise.all([copying, source.#copying]).then(
      () => {
        this.#failure = source.#failure;
      },
      (error: unknown) => {
        this.#failure = error;
      },
    );
  }
  truncate(length: number): void {
    this.assertUsable('truncate');
    assertCount('truncate', length);
    if (length > this.#length)
      throw new ArgumentError(`truncate: ${this.id} has ${this.#length} tokens, got ${length}`);
    this.#length = length;
    this.#reserved = length;
  }
  async range(start: number, end: number): Promise<HostKv> {
    this.assertUsable('range');
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= this.#length))
      throw new ArgumentError(
        `range: must lie inside the ${this.#length} tokens of ${this.id}, got [${start}, ${end})`,
      );
    const values = this.#cache.read(this.block, start, end);
    await Promise.all([values, this.#copying]);
    if (this.#failure) throw this.#failure;
    return values;
  }
  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#cache.release(this);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** @throws DisposedError; what copying threw, where it is a fork that failed */
  assertUsable(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: sequence ${this.id} was disposed of`);
    if (this.#failure) throw this.#failure;
  }
}

function assertCount(operation: string, tokens: number): void {
  if (!Number.isSafeInteger(tokens) || tokens < 0)
    throw new ArgumentError(`${operation}: takes a whole number of tokens, got ${tokens}`);
}
