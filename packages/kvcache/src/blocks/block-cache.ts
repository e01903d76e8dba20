import {
  ArgumentError,
  type Device,
  DisposedError,
  type InputSpec,
  type SymbolValues,
  symbolicDim,
  type Tensor,
} from '@heddle/tensor';
import { CacheIntegrityError } from '../errors.ts';
import type { HostKv, KvBatch, KvCache, KvPrompt, KvSequence, KvStats, KvStep } from '../kv-cache.ts';
import type { KvShape, KvStore } from '../kv-shape.ts';
import type { EvictionPolicy } from '../prefix/eviction-policies.ts';
import { PrefixSharing } from '../prefix/prefix-sharing.ts';
import { StorePools } from '../storage/store-pools.ts';
import { BlockHoldings } from './block-holdings.ts';
import { BlockList } from './block-list.ts';
import { assertCount, BlockSequence, type SequenceOwner } from './block-sequence.ts';
import { BlockTables } from './block-tables.ts';
import type { Group } from './group.ts';
import { layOut, type SequenceRows, slotsName, tableName } from './step-layout.ts';

/** What a cache in blocks is made of. */
export interface BlockCacheParts {
  readonly shape: KvShape;
  readonly blockSize: number;
  readonly maxSequences: number;
  readonly maxSequenceTokens: number;
  /** The most rows of a step; undefined where nothing depends on it. */
  readonly maxBatchTokens: number | undefined;
  readonly groups: readonly Group[];
  readonly groupOf: (store: KvStore) => number;
  /** What is forgotten first of tokens that no sequence holds; undefined where nothing is shared. */
  readonly eviction: EvictionPolicy | undefined;
}

/** A cache whose memory is handed out in blocks of tokens: the policy over `StorePools`. */
export class BlockCache implements KvCache, SequenceOwner {
  readonly shape: KvShape;
  readonly blockSize: number;
  readonly maxSequenceTokens: number;
  readonly maxSequences: number;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly symbols: SymbolValues;
  readonly #maxBatchTokens: number | undefined;
  readonly #groups: readonly Group[];
  readonly #tables: readonly BlockTables[];
  readonly #pools: StorePools;
  readonly #prefixes: PrefixSharing;
  readonly #holdings: BlockHoldings;
  readonly #sequences: Map<string, BlockSequence> = new Map();
  #steps = 0;
  #disposed = false;

  constructor(device: Device, parts: BlockCacheParts) {
    const { shape, blockSize, maxSequences, maxSequenceTokens, groups } = parts;
    this.shape = shape;
    this.blockSize = blockSize;
    this.maxSequenceTokens = maxSequenceTokens;
    this.maxSequences = maxSequences;
    this.#maxBatchTokens = parts.maxBatchTokens;
    this.#groups = groups;
    const maxBlocks = Math.ceil(maxSequenceTokens / blockSize);
    this.#tables = groups.map((_, group) => new BlockTables(group, maxBlocks));
    const i32 = (...sizes: (number | string)[]): InputSpec => ({ shape: sizes, dtype: 'i32' });
    const inputs: Record<string, InputSpec> = { lengths: i32('B') };
    for (const group of groups.keys()) {
      inputs[tableName(group)] = i32('B', maxBlocks === 1 ? 1 : 'N');
      inputs[slotsName(group)] = i32('T');
    }
    this.inputs = inputs;
    this.symbols = { B: maxSequences, ...(maxBlocks > 1 && { N: maxBlocks }) };
    const slots = groups.map(({ pool }) => pool.blocks * blockSize);
    this.#pools = new StorePools(device, shape, parts.groupOf, slots, blockSize);
    this.#prefixes = new PrefixSharing(groups, blockSize, parts.eviction);
    const open = () => this.#sequences.values();
    this.#holdings = new BlockHoldings(groups, blockSize, this.#prefixes.tree, this.#pools, open);
  }

  sequence(id: string, prompt?: KvPrompt): BlockSequence | 'full' | 'pending' {
    this.#assertOpen('sequence');
    this.#assertFree('sequence', id);
    if (this.#sequences.size >= this.maxSequences) return 'full';
    const found = this.#prefixes.find(prompt);
    if (found === 'pending') return found;
    const sequence = this.#open(id);
    this.#prefixes.begin(sequence, found, prompt);
    return sequence;
  }

  match(prompt: KvPrompt): number {
    this.#assertOpen('match');
    return this.#prefixes.match(prompt);
  }

  batch(rows: readonly { readonly sequence: KvSequence; readonly tokens: number }[]): KvBatch {
    this.#assertOpen('batch');
    const own = this.#ownRows(rows);
    for (const { sequence, tokens } of own) this.#holdings.prepareWindows(sequence, tokens);
    const { inputs, maxLength, positions, segments } = layOut(own, this.#tables, this.blockSize);
    const lengths = inputs['lengths'] as Int32Array;
    return {
      inputs,
      sizes: { S: maxLength },
      positions,
      segments,
      advance: () => {
        // all or nothing, and once: a sequence that has changed since is of another step
        for (let b = 0; b < own.length; b++) {
          const { sequence, tokens } = own[b]!;
          if (sequence.length !== lengths[b] || sequence.reserved < lengths[b]! + tokens)
            throw new ArgumentError(
              `advance: the batch was laid out when ${sequence.id} had ${lengths[b]} tokens and room for ${tokens} more, now it has ${sequence.length} and room for ${sequence.reserved - sequence.length}`,
            );
          sequence.assertUsable('advance');
        }
        for (const { sequence, tokens } of own) {
          sequence.length += tokens;
          sequence.used ||= tokens > 0;
          this.#holdings.slide(sequence);
        }
      },
    };
  }

  bind(inputs: Readonly<Record<string, Tensor>>, sizes: SymbolValues = {}): KvStep {
    this.#assertOpen('bind');
    const input = (name: string): Tensor => {
      const tensor = inputs[name];
      if (!tensor) throw new ArgumentError(`bind: takes ${Object.keys(this.inputs).join(', ')}, ${name} is missing`);
      return tensor;
    };
    return this.#pools.bind({
      lengths: input('lengths'),
      blockTables: this.#groups.map((_, group) => input(tableName(group))),
      slots: this.#groups.map((_, group) => input(slotsName(group))),
      maxLength: sizes['S'] ?? symbolicDim('S', this.maxSequenceTokens),
    });
  }

  stats(): KvStats {
    let [tokens, blocks, free, cached] = [0, 0, 0, 0];
    for (const sequence of this.#sequences.values()) tokens += sequence.length;
    for (const [group, { pool }] of this.#groups.entries()) {
      blocks += pool.blocks;
      free += pool.freeCount;
      cached += this.#prefixes.tree.cached(group);
    }
    const full = this.#groups.find(({ windowed }) => !windowed);
    const { hitTokens, missTokens, tree } = this.#prefixes;
    return {
      sequences: this.#sequences.size,
      tokens,
      tokenCapacity: full ? full.pool.blocks * this.blockSize : this.maxSequences * this.maxSequenceTokens,
      blocks,
      blocksUsed: blocks - free - cached,
      blocksCached: cached,
      bytes: this.#disposed ? 0 : this.#pools.byteLength,
      hitTokens,
      missTokens,
      evictions: tree.evictions,
    };
  }

  checkIntegrity(): void {
    const holders = this.#groups.map(({ pool }) => new Int32Array(pool.blocks));
    for (const sequence of this.#sequences.values()) {
      const { id, length, reserved, known, path, lists } = sequence;
      if (!(path.length * this.blockSize <= known && known <= length && length <= reserved))
        throw new CacheIntegrityError(
          `cache: ${id} has ${path.length} listed blocks, ${known} known, ${length} written and ${reserved} reserved tokens`,
        );
      if (reserved > this.maxSequenceTokens)
        throw new CacheIntegrityError(`cache: ${id} has ${reserved} tokens of ${this.maxSequenceTokens} reserved`);
      for (const [group, list] of lists.entries()) {
        if (!this.#groups[group]!.windowed && list.end < Math.ceil(reserved / this.blockSize))
          throw new CacheIntegrityError(`cache: ${id} has ${list.end} blocks for ${reserved} tokens`);
        for (const column of list.held()) holders[group]![list.table[column]!]!++;
      }
    }
    this.#prefixes.tree.check(holders);
    for (const [group, { pool }] of this.#groups.entries()) pool.check(group, holders[group]!);
  }

  dispose(): void {
    if (this.#disposed) return;
    for (const sequence of this.#sequences.values()) sequence.dispose();
    this.#disposed = true;
    this.#prefixes.tree.clear();
    this.#pools.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }

  grow(sequence: BlockSequence, tokens: number): boolean {
    const end = sequence.length + tokens;
    if (end > this.maxSequenceTokens || !this.#holdings.grow(sequence, end)) return false;
    sequence.reserved = end;
    return true;
  }
  know(sequence: BlockSequence, tokens: ArrayLike<number>): void {
    this.#prefixes.know(sequence, tokens);
    this.#holdings.slide(sequence);
  }
  truncate(sequence: BlockSequence, asked: number): void {
    const length = this.#holdings.restorable(sequence, asked);
    this.#prefixes.cut(sequence, length);
    for (const [group, list] of sequence.lists.entries())
      this.#holdings.cut(list, group, Math.ceil(length / this.blockSize));
    sequence.length = length;
    sequence.reserved = length;
    sequence.version++;
  }
  fork(source: BlockSequence, id: string, asked: number): KvSequence | 'full' {
    this.#assertFree('fork', id);
    if (this.#sequences.size >= this.maxSequences) return 'full';
    const length = this.#holdings.restorable(source, asked);
    const last = Math.floor(length / this.blockSize);
    const open = length % this.blockSize;
    // the open block is copied at once, so that neither has to find room for a copy when it writes
    const spare = this.#groups.map((_, group) =>
      open > 0 && source.lists[group]!.holds(last) ? this.#holdings.takeSpare(group) : -1,
    );
    if (spare.includes(undefined)) return 'full'; // only the one group that keeps everything, the first, can say so
    const copy = this.#open(id);
    copy.inherit(source);
    for (const [group, list] of copy.lists.entries()) {
      const from = source.lists[group]!;
      for (let column = 0; column < last; column++) {
        if (from.holds(column)) this.#prefixes.tree.retain(group, from.table[column]!);
        list.push(from.holds(column) ? from.table[column]! : 0);
      }
      list.gone = Math.max(list.kept, Math.min(from.gone, list.end));
      if (spare[group]! < 0) continue;
      copy.follow(this.#holdings.copy(group, from.table[last]!, spare[group]!, open));
      list.push(spare[group]!);
    }
    copy.length = length;
    copy.reserved = length;
    this.#prefixes.inherit(copy, source);
    return copy;
  }
  read(sequence: BlockSequence, start: number, end: number): Promise<HostKv> {
    const slots = sequence.lists.map((list, group) => {
      const rows = new Int32Array(end - start);
      for (let position = start; position < end; position++) {
        const column = Math.floor(position / this.blockSize);
        if (!list.holds(column))
          throw new ArgumentError(
            `range: ${sequence.id} has given back position ${position}, which is out of the window of ${this.#groups[group]!.window}`,
          );
        rows[position - start] = list.table[column]! * this.blockSize + (position % this.blockSize);
      }
      return rows;
    });
    return this.#pools.read(slots);
  }
  close(sequence: BlockSequence): void {
    this.#sequences.delete(sequence.id);
    this.#prefixes.end(sequence);
    for (const [group, list] of sequence.lists.entries()) this.#holdings.cut(list, group, 0);
  }

  #open(id: string): BlockSequence {
    const lists = this.#groups.map(({ keepFirst }) => new BlockList(Math.ceil(keepFirst / this.blockSize)));
    const sequence = new BlockSequence(this, id, lists);
    this.#sequences.set(id, sequence);
    return sequence;
  }

  #ownRows(rows: readonly { readonly sequence: KvSequence; readonly tokens: number }[]): readonly SequenceRows[] {
    const step = ++this.#steps;
    const own: SequenceRows[] = [];
    let total = 0;
    for (let b = 0; b < rows.length; b++) {
      const { sequence, tokens } = rows[b]!;
      if (!(sequence instanceof BlockSequence) || sequence.cache !== this || sequence.disposed)
        throw new ArgumentError(`batch: ${sequence.id} is no open sequence of this cache`);
      sequence.assertUsable('batch');
      assertCount('batch', tokens);
      if (sequence.length + tokens > sequence.reserved)
        throw new ArgumentError(
          `batch: ${sequence.id} has ${sequence.reserved} tokens reserved, got ${sequence.length} + ${tokens}`,
        );
      if (sequence.step === step) throw new ArgumentError('batch: a sequence must be named once, with all its rows');
      sequence.step = step;
      total += tokens;
      own.push({ sequence, tokens });
    }
    if (this.#maxBatchTokens !== undefined && total > this.#maxBatchTokens)
      throw new ArgumentError(`batch: takes at most ${this.#maxBatchTokens} rows (maxBatchTokens), got ${total}`);
    return own;
  }
  #assertFree(operation: string, id: string): void {
    if (this.#sequences.has(id)) throw new ArgumentError(`${operation}: ${id} is open already`);
  }
  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the cache was disposed of`);
  }
}
