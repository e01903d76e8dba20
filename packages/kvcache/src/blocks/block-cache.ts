import {
  ArgumentError,
  type Device,
  DisposedError,
  type InputSpec,
  type SymbolValues,
  symbolicDim,
  type Tensor,
} from '@heddle/tensor';
import type { HostKv, KvBatch, KvBatchRows, KvCache, KvPrompt, KvSequence, KvStats, KvStep } from '../kv-cache.ts';
import { type KvShape, keepsExactly } from '../kv-shape.ts';
import { PrefixSharing } from '../prefix/prefix-sharing.ts';
import { StatePools } from '../storage/state-pools.ts';
import { StorePools } from '../storage/store-pools.ts';
import { TieredRows } from '../tiers/tiered-rows.ts';
import { checkedRows } from './batch-rows.ts';
import type { BlockCacheParts } from './block-cache-parts.ts';
import { BlockHoldings } from './block-holdings.ts';
import { BlockList } from './block-list.ts';
import { BlockSequence, type SequenceOwner } from './block-sequence.ts';
import { BlockSupply } from './block-supply.ts';
import { BlockTables } from './block-tables.ts';
import { auditCache } from './cache-audit.ts';
import { countBlocks } from './cache-counts.ts';
import type { Group } from './group.ts';
import { slotsOfRange } from './range-slots.ts';
import { StateSlots } from './state-slots.ts';
import { boundInputs, type StepInputSizes, stateNames, stepInputs } from './step-inputs.ts';
import { layOut } from './step-layout.ts';
import { Windows } from './windows.ts';

/** A cache whose memory is handed out in blocks of tokens: the policy over `StorePools`. */
export class BlockCache implements KvCache, SequenceOwner {
  readonly shape: KvShape;
  readonly exact: boolean;
  readonly blockSize: number;
  readonly maxSequenceTokens: number;
  readonly maxSequences: number;
  readonly inputs: Readonly<Record<string, InputSpec>>;
  readonly symbols: SymbolValues;
  readonly #inputSizes: StepInputSizes;
  readonly #maxBatchTokens: number | undefined;
  /** Groups of rows, and then that of states, where there is one. */
  readonly #groups: readonly Group[];
  readonly #rowGroups: readonly Group[];
  readonly #tables: readonly BlockTables[];
  readonly #pools: StorePools;
  readonly #statePools: StatePools;
  readonly #prefixes: PrefixSharing;
  readonly #supply: BlockSupply;
  readonly #holdings: BlockHoldings;
  readonly #windows: Windows;
  readonly #states: StateSlots | undefined;
  readonly #tiers: TieredRows | undefined;
  readonly #sequences: Map<string, BlockSequence> = new Map();
  #steps = 0;
  #disposed = false;

  constructor(device: Device, parts: BlockCacheParts) {
    const { shape, blockSize, maxSequences, maxSequenceTokens, groups } = parts;
    this.shape = shape;
    const { retain } = parts;
    this.exact = keepsExactly(shape, parts.formatOf) && !retain;
    this.blockSize = blockSize;
    this.maxSequenceTokens = maxSequenceTokens;
    this.maxSequences = maxSequences;
    this.#maxBatchTokens = parts.maxBatchTokens;
    this.#groups = groups;
    this.#rowGroups = groups.filter(({ kind }) => kind !== 'state');
    const stateGroup = groups.findIndex(({ kind }) => kind === 'state');
    const maxBlocks = Math.ceil(maxSequenceTokens / blockSize);
    this.#tables = this.#rowGroups.map((_, group) => new BlockTables(group, maxBlocks));
    const maxSaves = stateGroup < 0 ? 0 : maxSequences + parts.checkpoints.slots;
    const positionSlots = retain ? groups[0]!.pool.blocks * blockSize : 0;
    this.#inputSizes = { rowGroups: this.#rowGroups.length, maxSequences, maxBlocks, maxSaves, positionSlots };
    ({ inputs: this.inputs, symbols: this.symbols } = stepInputs(this.#inputSizes));
    const slots = this.#rowGroups.map(({ pool }) => pool.blocks * blockSize);
    this.#pools = new StorePools(device, retain?.stored ?? shape, parts.groupOf, slots, blockSize, parts.formatOf);
    let statePools: StatePools | undefined;
    try {
      statePools = new StatePools(device, shape, groups[stateGroup]?.pool.blocks ?? 0);
      if (retain) this.#tiers = new TieredRows(device, shape, this.#pools, blockSize, maxSequences, retain.options);
    } catch (error) {
      this.#pools.dispose();
      statePools?.dispose();
      throw error;
    }
    this.#statePools = statePools;
    this.#prefixes = new PrefixSharing(groups, blockSize, parts.eviction, this.exact);
    const { tree } = this.#prefixes;
    this.#supply = new BlockSupply(groups, tree, (group) => this.#reclaim(group));
    this.#holdings = new BlockHoldings(groups, blockSize, tree, this.#pools, this.#supply);
    this.#windows = new Windows(groups, blockSize, tree, this.#supply, this.#holdings, (sequence, blocks) =>
      this.#tiers?.leave(sequence, blocks),
    );
    if (stateGroup >= 0)
      this.#states = new StateSlots(stateGroup, blockSize, parts.checkpoints, tree, this.#supply, this.#windows);
  }

  sequence(id: string, prompt?: KvPrompt): BlockSequence | 'full' | 'pending' {
    this.#assertOpen('sequence');
    this.#assertFree('sequence', id);
    if (this.#sequences.size >= this.maxSequences) return 'full';
    const found = this.#prefixes.find(prompt);
    if (found === 'pending') return found;
    const sequence = this.#open(id);
    this.#prefixes.begin(sequence, found, prompt);
    const last = found.nodes.at(-1);
    if (this.#states) {
      if (last) this.#states.begin(sequence, last.blocks[this.#states.group]!, sequence.length);
      if (found.listedTokens > sequence.length) sequence.states.branch = found.listedTokens;
    }
    return sequence;
  }

  match(prompt: KvPrompt): number {
    this.#assertOpen('match');
    return this.#prefixes.match(prompt);
  }

  batch(rows: readonly KvBatchRows[]): KvBatch {
    this.#assertOpen('batch');
    const own = checkedRows(rows, this, ++this.#steps, this.#maxBatchTokens);
    for (const { sequence, tokens } of own) this.#windows.prepare(sequence, tokens);
    const states = this.#states?.layOut(own);
    const {
      inputs: rowInputs,
      lengths,
      maxLength,
      positions,
      segments,
    } = layOut(own, this.#tables, this.blockSize, this.#inputSizes.positionSlots);
    const saving = own.map(({ sequence }) => sequence.states.pending);
    const { from, at, to } = stateNames;
    return {
      inputs: states ? { ...rowInputs, [from]: states.from, [at]: states.at, [to]: states.to } : rowInputs,
      sizes: { S: maxLength },
      positions,
      segments,
      saves: states?.at ?? new Int32Array(0),
      advance: () => {
        // all or nothing, and once: a sequence that has changed since is of another step
        for (let b = 0; b < own.length; b++) {
          const { sequence, tokens } = own[b]!;
          if (sequence.length !== lengths[b] || sequence.reserved < lengths[b]! + tokens)
            throw new ArgumentError(
              `advance: the batch was laid out when ${sequence.id} had ${lengths[b]} tokens and room for ${tokens} more, now it has ${sequence.length} and room for ${sequence.reserved - sequence.length}`,
            );
          if (tokens > 0 && sequence.states.pending !== saving[b])
            throw new ArgumentError(`advance: ${sequence.id} was laid out again since`);
          sequence.assertUsable('advance');
        }
        for (const { sequence, tokens } of own) {
          sequence.length += tokens;
          sequence.used ||= tokens > 0;
          if (tokens > 0) this.#states?.advance(sequence);
          this.#windows.slide(sequence);
        }
      },
    };
  }

  bind(inputs: Readonly<Record<string, Tensor>>, sizes: SymbolValues = {}): KvStep {
    this.#assertOpen('bind');
    const maxLength = sizes['S'] ?? symbolicDim('S', this.maxSequenceTokens);
    const { rows, states } = boundInputs(inputs, this.#inputSizes, maxLength, Object.keys(this.inputs));
    return { ...this.#pools.bind(rows), ...this.#statePools.bind(states) };
  }

  stats(): KvStats {
    const sequences = [...this.#sequences.values()];
    const hot = this.#disposed ? 0 : this.#pools.byteLength;
    const below = this.#disposed ? 0 : this.#statePools.byteLength + (this.#tiers?.byteLength ?? 0);
    const full = this.#groups.find(({ kind }) => kind === 'all');
    return {
      ...countBlocks(sequences, this.#groups, this.#prefixes),
      tokenCapacity: full ? full.pool.blocks * this.blockSize : this.maxSequences * this.maxSequenceTokens,
      bytes: hot + below,
      tiers: this.#tiers?.stats(sequences, hot) ?? [],
    };
  }

  checkIntegrity(): void {
    this.#tiers?.check(this.#sequences.values());
    const { tree } = this.#prefixes;
    auditCache(this.#sequences.values(), this.#groups, tree, this.#windows, this.blockSize, this.maxSequenceTokens);
  }

  dispose(): void {
    if (this.#disposed) return;
    for (const sequence of this.#sequences.values()) sequence.dispose();
    this.#disposed = true;
    this.#prefixes.tree.clear();
    this.#pools.dispose();
    this.#statePools.dispose();
    this.#tiers?.dispose();
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
    this.#windows.slide(sequence);
  }
  truncate(sequence: BlockSequence, asked: number): void {
    const length = this.#restorable(sequence, asked);
    this.#prefixes.cut(sequence, length);
    this.#states?.truncate(sequence, length);
    for (const [group, list] of sequence.lists.entries())
      this.#holdings.cut(list, group, Math.ceil(length / this.blockSize));
    if (this.#states) this.#windows.goBack(sequence, length);
    this.#tiers?.cut(sequence, Math.ceil(length / this.blockSize));
    sequence.length = length;
    sequence.reserved = length;
    sequence.version++;
  }
  fork(source: BlockSequence, id: string, asked: number): KvSequence | 'full' {
    this.#assertFree('fork', id);
    if (this.#sequences.size >= this.maxSequences) return 'full';
    const length = this.#restorable(source, asked);
    const last = Math.floor(length / this.blockSize);
    const open = length % this.blockSize;
    // the open block is copied at once, so that neither has to find room for a copy when it writes
    const copies = this.#rowGroups.map((_, group) => open > 0 && source.lists[group]!.holds(last));
    const full = this.#rowGroups.findIndex(({ kind }) => kind === 'all');
    if (copies[full] && this.#supply.available(full) === 0) return 'full';
    const spare = copies.map((copies, group) => (copies ? this.#supply.take(group) : -1));
    const copy = this.#open(id);
    copy.inherit(source);
    for (const [group, list] of copy.lists.entries()) {
      const from = source.lists[group]!;
      for (let column = 0; column < last; column++) {
        if (from.holds(column)) this.#prefixes.tree.retain(group, from.table[column]!);
        list.push(from.holds(column) ? from.table[column]! : -1);
      }
      list.gone = Math.max(list.kept, Math.min(from.gone, list.end));
      if (spare[group]! < 0) continue;
      copy.follow(this.#holdings.copy(group, from.table[last]!, spare[group]!, open));
      list.push(spare[group]!);
    }
    copy.length = length;
    copy.reserved = length;
    this.#states?.fork(copy, source, length);
    this.#tiers?.fork(copy, source, last);
    if (this.#states) this.#windows.goBack(copy, length);
    this.#prefixes.inherit(copy, source);
    return copy;
  }
  read(sequence: BlockSequence, start: number, end: number): Promise<HostKv> {
    if (this.#tiers) return this.#tiers.range(sequence, start, end);
    return this.#pools.read(slotsOfRange(sequence, start, end, this.blockSize, this.#groups));
  }
  close(sequence: BlockSequence): void {
    this.#sequences.delete(sequence.id);
    this.#prefixes.end(sequence);
    for (const [group, list] of sequence.lists.entries()) this.#holdings.cut(list, group, 0);
    this.#states?.close(sequence);
    this.#tiers?.cut(sequence, 0);
    this.#prefixes.clean(sequence);
  }

  /** The largest length up to `length` that a sequence can go back to. */
  #restorable(sequence: BlockSequence, length: number): number {
    return (this.#states ?? this.#windows).restorable(sequence, length);
  }
  /** Makes open sequences give back what they can do without. */
  #reclaim(group: number): boolean {
    const { kind } = this.#groups[group]!;
    if (kind === 'all') return false;
    if (kind === 'window') {
      for (const sequence of this.#sequences.values()) this.#windows.slide(sequence, true);
      if (this.#supply.available(group) > 0) return true;
    }
    return this.#states?.thinOut(this.#sequences.values()) ?? false;
  }

  #open(id: string): BlockSequence {
    const lists = this.#rowGroups.map(({ keepFirst }) => new BlockList(Math.ceil(keepFirst / this.blockSize)));
    const sequence = new BlockSequence(this, id, lists);
    this.#sequences.set(id, sequence);
    return sequence;
  }

  #assertFree(operation: string, id: string): void {
    if (this.#sequences.has(id)) throw new ArgumentError(`${operation}: ${id} is open already`);
  }
  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the cache was disposed of`);
  }
}
