import {
  ArgumentError,
  checkArguments,
  type Device,
  DisposedError,
  type InputSpec,
  type SymbolValues,
  symbolicDim,
  type Tensor,
} from '@heddle/tensor';
import type { PrefixTiers } from '../demoted/prefix-tiers.ts';
import type {
  HeldKv,
  HostKv,
  KvBatch,
  KvBatchRows,
  KvCache,
  KvPrompt,
  KvSequence,
  KvStats,
  KvStep,
} from '../kv-cache.ts';
import type { KvShape } from '../kv-shape.ts';
import { PrefixSharing } from '../prefix/prefix-sharing.ts';
import { HeldRows } from '../snapshot/held-rows.ts';
import type { StatePools } from '../storage/state-pools.ts';
import type { StorePools } from '../storage/store-pools.ts';
import type { TieredRows } from '../tiers/tiered-rows.ts';
import { assertUnchanged, checkedRows } from './batch-rows.ts';
import type { BlockCacheParts } from './block-cache-parts.ts';
import { BlockHoldings } from './block-holdings.ts';
import { BlockList } from './block-list.ts';
import { BlockSequence, type SequenceOwner } from './block-sequence.ts';
import { BlockSupply } from './block-supply.ts';
import { BlockTables } from './block-tables.ts';
import { auditCache } from './cache-audit.ts';
import { countBlocks } from './cache-counts.ts';
import type { Group } from './group.ts';
import { isOfTiers, lossesOf } from './losses.ts';
import { openMemory, openPrefixTiers } from './open-memory.ts';
import { slotsOfRange } from './range-slots.ts';
import { SequenceChanges } from './sequence-changes.ts';
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
  readonly #lossy: KvStats['lossy'];
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
  /** Where prompts find what the cache had to forget. */
  readonly prefixTiers: PrefixTiers | undefined;
  readonly #held: HeldRows;
  readonly #changes: SequenceChanges;
  readonly #sequences: Map<string, BlockSequence> = new Map();
  #steps = 0;
  #disposed = false;

  constructor(device: Device, parts: BlockCacheParts) {
    const { shape, blockSize, maxSequences, maxSequenceTokens, groups, groupOf, retain } = parts;
    this.shape = shape;
    this.#lossy = lossesOf(parts);
    this.exact = this.#lossy.length === 0;
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
    const positionSlots = retain || parts.drops ? groups[0]!.pool.blocks * blockSize : 0;
    this.#inputSizes = { rowGroups: this.#rowGroups.length, maxSequences, maxBlocks, maxSaves, positionSlots };
    ({ inputs: this.inputs, symbols: this.symbols } = stepInputs(this.#inputSizes));
    const { pools, states, tiers } = openMemory(device, parts);
    this.#pools = pools;
    this.#statePools = states;
    this.#tiers = tiers;
    this.#prefixes = new PrefixSharing(groups, blockSize, parts.eviction, this.#lossy.every(isOfTiers));
    const { tree } = this.#prefixes;
    this.#supply = new BlockSupply(groups, tree, (group) => this.#reclaim(group));
    this.#holdings = new BlockHoldings(groups, blockSize, tree, this.#pools, this.#supply);
    this.#windows = new Windows(groups, blockSize, tree, this.#supply, this.#holdings, (sequence, blocks) =>
      this.#tiers?.leave(sequence, blocks),
    );
    if (stateGroup >= 0)
      this.#states = new StateSlots(stateGroup, blockSize, parts.checkpoints, tree, this.#supply, this.#windows);
    this.#changes = new SequenceChanges({
      ...{ blockSize, prefixes: this.#prefixes, holdings: this.#holdings, windows: this.#windows },
      ...{ states: this.#states, tiers },
    });
    this.#held = new HeldRows(
      { device, shape, groups, groupOf, blockSize, pools, states },
      this.#supply,
      this.#holdings,
    );
    this.prefixTiers = openPrefixTiers(device, parts, { pools, states }, tree, this.#supply);
    this.#prefixes.counts = this.prefixTiers?.counts;
    this.#holdings.beforeWriting = () => this.prefixTiers?.flush();
  }

  sequence(id: string, prompt?: KvPrompt): BlockSequence | 'full' | 'pending' {
    this.#assertOpen('sequence');
    if (this.#isFull('sequence', id)) return 'full';
    const asked = prompt !== undefined && this.#prefixes.serves('sequence', prompt) ? prompt : undefined;
    if (asked && this.prefixTiers?.bring(id, asked) === false) return 'pending';
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
    const found = this.#prefixes.match(prompt);
    if (!this.prefixTiers || !this.#prefixes.serves('match', prompt)) return found;
    return Math.max(found, this.prefixTiers.match(prompt) * this.blockSize);
  }

  batch(rows: readonly KvBatchRows[]): KvBatch {
    this.#assertOpen('batch');
    checkArguments('batch', 'list', { rows });
    const own = checkedRows(rows, this, ++this.#steps, this.#maxBatchTokens);
    if (this.#windows.any) for (const { sequence, tokens } of own) this.#windows.prepare(sequence, tokens);
    const states = this.#states?.layOut(own);
    this.prefixTiers?.flush();
    const laid = layOut(own, this.#tables, this.blockSize, this.#inputSizes.positionSlots);
    const { lengths, positions, segments } = laid;
    const saving = states && own.map(({ sequence }) => sequence.states.pending);
    const { from, at, to } = stateNames;
    return {
      inputs: states ? { ...laid.inputs, [from]: states.from, [at]: states.at, [to]: states.to } : laid.inputs,
      sizes: { S: laid.maxLength },
      positions,
      segments,
      saves: states?.at ?? new Int32Array(0),
      advance: () => {
        assertUnchanged(own, lengths, saving);
        const computing = this.prefixTiers && { rows: positions.length, since: performance.now() };
        for (const { sequence, tokens } of own) {
          if (computing) sequence.computing = computing;
          sequence.length += tokens;
          if (tokens > 0 && !sequence.used) this.prefixTiers?.withdraw(sequence.id);
          sequence.used ||= tokens > 0;
          if (tokens > 0) this.#states?.advance(sequence);
          if (this.#windows.any) this.#windows.slide(sequence);
        }
      },
    };
  }

  bind(inputs: Readonly<Record<string, Tensor>>, sizes: SymbolValues = {}): KvStep {
    this.#assertOpen('bind');
    checkArguments('bind', 'object', { inputs });
    const maxLength = sizes['S'] ?? symbolicDim('S', this.maxSequenceTokens);
    const { rows, states } = boundInputs(inputs, this.#inputSizes, maxLength, Object.keys(this.inputs));
    return { ...this.#pools.bind(rows), ...this.#statePools.bind(states) };
  }

  stats(): KvStats {
    const sequences = [...this.#sequences.values()];
    const tiers = this.#tiers ?? this.prefixTiers;
    const hot = this.#disposed ? 0 : this.#pools.byteLength;
    const below = this.#disposed ? 0 : this.#statePools.byteLength + (tiers?.byteLength ?? 0);
    return {
      ...countBlocks(sequences, this.#groups, this.#prefixes, this),
      bytes: hot + below,
      lossy: this.#lossy,
      tiers: this.#tiers?.stats(sequences, hot) ?? this.prefixTiers?.stats(hot) ?? [],
    };
  }

  checkIntegrity(): void {
    this.#tiers?.check(this.#sequences.values());
    this.prefixTiers?.check();
    const { tree } = this.#prefixes;
    auditCache(this.#sequences.values(), this.#groups, tree, this.#windows, this.blockSize, this.maxSequenceTokens);
  }

  dispose(): void {
    if (this.#disposed) return;
    for (const sequence of this.#sequences.values()) sequence.dispose();
    this.#disposed = true;
    this.#prefixes.tree.clear();
    for (const memory of [this.prefixTiers, this.#tiers, this.#pools, this.#statePools]) memory?.dispose();
  }
  [Symbol.dispose](): void {
    this.dispose();
  }
  onReady(tell: () => void): void {
    if (this.prefixTiers) this.prefixTiers.onReady = tell;
  }
  withdraw(id: string): void {
    checkArguments('withdraw', 'text', { id });
    this.prefixTiers?.withdraw(id);
  }
  async persist(): Promise<void> {
    this.#assertOpen('persist');
    await this.prefixTiers?.persist();
  }
  async settled(): Promise<void> {
    await Promise.all([this.#tiers?.settled(), this.prefixTiers?.settled()]);
  }

  grow(sequence: BlockSequence, tokens: number): boolean {
    const end = sequence.length + tokens;
    const grown = end <= this.maxSequenceTokens && this.#holdings.grow(sequence, end);
    this.prefixTiers?.flush();
    if (grown) sequence.reserved = end;
    return grown;
  }
  know(sequence: BlockSequence, tokens: ArrayLike<number>): void {
    if (sequence.computing) this.prefixTiers?.known(sequence);
    this.#prefixes.know(sequence, tokens);
    if (this.#windows.any) this.#windows.slide(sequence);
  }
  truncate(sequence: BlockSequence, asked: number): void {
    this.#changes.truncate(sequence, asked);
  }
  fork(source: BlockSequence, id: string, asked: number): KvSequence | 'full' {
    if (this.#isFull('fork', id)) return 'full';
    return this.#changes.fork(source, asked, () => this.#open(id)) ?? 'full';
  }
  keep(sequence: BlockSequence, columns: ReadonlySet<number>): number {
    const drops = this.#inputSizes.positionSlots > 0 && !this.#tiers;
    return this.#changes.keep(sequence, columns, drops);
  }
  read(sequence: BlockSequence, start: number, end: number): Promise<HostKv> {
    if (this.#tiers) return this.#tiers.range(sequence, start, end);
    return this.#pools.read(slotsOfRange(sequence, start, end, this.blockSize, this.#groups));
  }
  readHeld(sequence: BlockSequence): Promise<HeldKv> | undefined {
    return this.#tiers ? undefined : this.#held.read(sequence);
  }
  restore(id: string, length: number, held: HeldKv, prompt?: KvPrompt): ReturnType<NonNullable<KvCache['restore']>> {
    this.#assertOpen('restore');
    if (this.#tiers) return undefined;
    this.#held.check(length, held);
    if (length > this.maxSequenceTokens) return 'full';
    const sequence = this.sequence(id, prompt && { ...prompt, tokens: [] });
    return typeof sequence === 'string' ? 'full' : this.#held.write(sequence, length, held);
  }
  close(sequence: BlockSequence): void {
    this.#sequences.delete(sequence.id);
    this.#changes.close(sequence);
  }

  /** Makes open sequences give back what they can do without. */
  #reclaim(group: number): boolean {
    const { kind } = this.#groups[group]!;
    if (kind === 'all') return false;
    if (kind === 'window' && this.#windows.reclaim(this.#sequences.values(), group)) return true;
    return this.#states?.thinOut(this.#sequences.values()) ?? false;
  }

  #open(id: string): BlockSequence {
    const lists = this.#rowGroups.map(({ keepFirst }) => new BlockList(Math.ceil(keepFirst / this.blockSize)));
    const sequence = new BlockSequence(this, id, lists);
    this.#sequences.set(id, sequence);
    return sequence;
  }

  /** @throws ArgumentError for an id that is open */
  #isFull(operation: string, id: string): boolean {
    checkArguments(operation, 'text', { id });
    if (this.#sequences.has(id)) throw new ArgumentError(`${operation}: ${id} is open already`);
    return this.#sequences.size >= this.maxSequences;
  }
  #assertOpen(operation: string): void {
    if (this.#disposed) throw new DisposedError(`${operation}: the cache was disposed of`);
  }
}
