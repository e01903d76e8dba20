import { ArgumentError, DisposedError } from '@heddle/tensor';
import type { HostKv, KvSequence, SlotMapping } from './kv-cache.ts';

/** The cache as its sequences see it. */
export interface BlockOwner {
  readonly maxSequenceTokens: number;
  sequence(id: string): ContiguousSequence | undefined;
  /** Slots of positions [start, end) of a block. */
  slotsOf(block: number, start: number, end: number): Int32Array;
  /** Copies the first tokens of a block to another; what runs later sees the copy. */
  copy(from: number, to: number, tokens: number): Promise<void>;
  read(block: number, start: number, end: number): Promise<HostKv>;
  /** Takes a block back. */
  release(sequence: ContiguousSequence): void;
}

/** One block of a contiguous cache, and how much of it is written. */
export class ContiguousSequence implements KvSequence {
  readonly id: string;
  readonly block: number;
  readonly #cache: BlockOwner;
  #length = 0;
  #reserved = 0;
  #copying: Promise<void> | undefined;
  #failure: unknown;
  #disposed = false;

  constructor(cache: BlockOwner, id: string, block: number) {
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

/** @throws ArgumentError unless `tokens` is a whole number from 0 */
export function assertCount(operation: string, tokens: number): void {
  if (!Number.isSafeInteger(tokens) || tokens < 0)
    throw new ArgumentError(`${operation}: takes a whole number of tokens, got ${tokens}`);
}
