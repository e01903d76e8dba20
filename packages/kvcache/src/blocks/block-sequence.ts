import { ArgumentError, DisposedError } from '@heddle/tensor';
import { checkArrayLike, checkIds } from '../array-like.ts';
import type { SubmittedStep } from '../demoted/break-even.ts';
import type { HeldKv, HostKv, KvSequence } from '../kv-cache.ts';
import type { Announcement } from '../prefix/announcements.ts';
import type { BlockNode } from '../prefix/block-node.ts';
import type { TierName } from '../tiers/tier-counts.ts';
import { TierList } from '../tiers/tier-list.ts';
import type { BlockList } from './block-list.ts';
import { StateList } from './state-list.ts';

/** The cache as its sequences see it. */
export interface SequenceOwner {
  readonly blockSize: number;
  grow(sequence: BlockSequence, tokens: number): boolean;
  know(sequence: BlockSequence, tokens: ArrayLike<number>): void;
  fork(sequence: BlockSequence, id: string, length: number): KvSequence | 'full';
  truncate(sequence: BlockSequence, length: number): void;
  read(sequence: BlockSequence, start: number, end: number): Promise<HostKv>;
  readHeld(sequence: BlockSequence): Promise<HeldKv> | undefined;
  /** Forgets the columns that are not named, but for the open one. */
  keep(sequence: BlockSequence, columns: ReadonlySet<number>): number;
  close(sequence: BlockSequence): void;
}

/** The ids of a prompt, and whom its tokens are shared with. */
export interface Origin {
  readonly namespace: string;
  readonly priority: number;
  /** What is still to come of it is announced. */
  readonly tokens: ArrayLike<number>;
}

/** A sequence in blocks: what it holds in each group, and how much of it is written and known. The cache changes it. */
export class BlockSequence implements KvSequence {
  readonly id: string;
  readonly cache: SequenceOwner;
  /** By group of rows, which come before that of states. */
  readonly lists: readonly BlockList[];
  readonly states: StateList = new StateList();
  /** What of it has left the hot part. */
  readonly tiers: TierList = new TierList();
  origin: Origin = { namespace: '', priority: 0, tokens: [] };
  /** Whether its full blocks are listed for others. */
  listed = false;
  length = 0;
  /** Tokens that there is room for, written ones included. */
  reserved = 0;
  known = 0;
  /** Nodes of the full blocks that are known and listed. */
  path: BlockNode[] = [];
  /** Ids of the tokens from the last of those blocks to `known`: the first `tailLength`. */
  tail: Int32Array;
  tailLength = 0;
  announcement: Announcement | undefined;
  /** Tokens of its prompt that were found, and that were not. */
  foundTokens = 0;
  missedTokens = 0;
  /** Which tier each of its first blocks was found in, where there are tiers. */
  foundIn: readonly TierName[] = [];
  /** Whether nothing that it was computed from was rounded by a tier. */
  exact = true;
  /** The rows and the time of the last step that it was in, until its tokens are known. */
  computing: SubmittedStep | undefined;
  /** Whether a step has computed something of it. */
  used = false;
  /** Changes whenever one of its written tokens is in another block. */
  version = 0;
  /** The step in which it was named last. */
  step = 0;
  /** Copies of blocks that it waits for, and why the last one failed. */
  copying: Promise<void> | undefined;
  failure: unknown;
  disposed = false;

  constructor(cache: SequenceOwner, id: string, lists: readonly BlockList[]) {
    this.cache = cache;
    this.id = id;
    this.lists = lists;
    this.tail = new Int32Array(cache.blockSize);
  }

  reserve(tokens: number): boolean {
    this.assertUsable('reserve');
    assertCount('reserve', tokens);
    return this.length + tokens <= this.reserved || this.cache.grow(this, tokens);
  }
  know(tokens: ArrayLike<number>): void {
    this.assertUsable('know');
    checkArrayLike('know', 'tokens', tokens);
    if (this.known + tokens.length > this.length)
      throw new ArgumentError(
        `know: ${this.id} has ${this.length} tokens, of which ${this.known} are known, got ${tokens.length} more`,
      );
    checkIds('know', tokens);
    this.cache.know(this, tokens);
  }
  fork(id: string, length: number = this.length): KvSequence | 'full' {
    this.assertUsable('fork');
    this.#assertLength('fork', length);
    return this.cache.fork(this, id, length);
  }
  truncate(length: number): number {
    this.assertUsable('truncate');
    this.#assertLength('truncate', length);
    this.cache.truncate(this, length);
    return this.length;
  }
  keep(positions: Iterable<number>): number {
    this.assertUsable('keep');
    const columns = new Set<number>();
    for (const position of positions) {
      if (!(Number.isSafeInteger(position) && 0 <= position && position < this.length))
        throw new ArgumentError(`keep: positions lie inside the ${this.length} tokens of ${this.id}, got ${position}`);
      columns.add(Math.floor(position / this.cache.blockSize));
    }
    return this.cache.keep(this, columns);
  }
  async range(start: number, end: number): Promise<HostKv> {
    this.assertUsable('range');
    if (!(Number.isInteger(start) && Number.isInteger(end) && 0 <= start && start <= end && end <= this.length))
      throw new ArgumentError(`range: must lie inside the ${this.length} tokens of ${this.id}, got [${start}, ${end})`);
    const values = this.cache.read(this, start, end);
    await Promise.all([values, this.copying]);
    if (this.failure) throw this.failure;
    return values;
  }
  held(): Promise<HeldKv> | undefined {
    this.assertUsable('held');
    const reading = this.cache.readHeld(this);
    return (
      reading &&
      Promise.all([reading, this.copying]).then(([held]) => {
        if (this.failure) throw this.failure;
        return held;
      })
    );
  }
  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.cache.close(this);
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  /** Waits for a copy of one of its blocks; where that fails, every later use throws why. */
  follow(copy: Promise<void>): void {
    this.copying = Promise.all([copy, this.copying]).then(
      () => undefined,
      (error: unknown) => {
        this.failure ??= error;
      },
    );
  }
  /** Shares the fate of the sequence that it is a fork of. */
  inherit(source: BlockSequence): void {
    this.failure = source.failure;
    if (!source.copying) return;
    this.copying = source.copying.then(() => {
      this.failure ??= source.failure;
    });
  }

  /** @throws DisposedError; what copying threw, where that failed */
  assertUsable(operation: string): void {
    if (this.disposed) throw new DisposedError(`${operation}: sequence ${this.id} was disposed of`);
    if (this.failure) throw this.failure;
  }
  #assertLength(operation: string, length: number): void {
    assertCount(operation, length);
    if (length > this.length)
      throw new ArgumentError(`${operation}: ${this.id} has ${this.length} tokens, got ${length}`);
  }
}

/** @throws ArgumentError unless `tokens` is a whole number from 0 */
export function assertCount(operation: string, tokens: number): void {
  if (!Number.isSafeInteger(tokens) || tokens < 0)
    throw new ArgumentError(`${operation}: takes a whole number of tokens, got ${tokens}`);
}
