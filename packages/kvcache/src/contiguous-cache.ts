import { ArgumentError, type Device, DisposedError } from '@heddle/tensor';
import { assertCount, type BlockOwner, ContiguousSequence } from './contiguous-sequence.ts';
import { CacheIntegrityError } from './errors.ts';
import type { HostKv, KvBatch, KvCache, KvInputs, KvSequence, KvShape, KvStats, KvStep } from './kv-cache.ts';
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

class ContiguousCache implements KvCache, BlockOwner {
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
      assertCount('batch', tokens);
      if (length + tokens > reserved)
        throw new ArgumentError(`batch: ${sequence.id} has ${reserved} tokens reserved, got ${length} + ${tokens}`);
      return { sequence, tokens, block, length };
    });
    if (new Set(rows.map(({ sequence }) => sequence)).size < rows.length)
      throw new ArgumentError('batch: a sequence must be named once, with all its rows');
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

  slotsOf(block: number, start: number, end: number): Int32Array {
    return Int32Array.from({ length: end - start }, (_, i) => block * this.blockSize + start + i);
  }
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
