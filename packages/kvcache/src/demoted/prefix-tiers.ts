import type { BlockSequence } from '../blocks/block-sequence.ts';
import { CacheIntegrityError } from '../errors.ts';
import type { KvPrompt } from '../kv-cache.ts';
import { Completeness } from '../prefix/completeness.ts';
import type { BlockUploads } from '../storage/block-uploads.ts';
import { RawBlocks } from '../storage/raw-blocks.ts';
import { type KvTierStats, TierCounts, type TierName, tierNames } from '../tiers/tier-counts.ts';
import { BreakEven, StepTimes } from './break-even.ts';
import { DemotedTree } from './demoted-tree.ts';
import { Demotions, type WarmPart } from './demotions.ts';
import { formatsOf } from './options.ts';
import { PrefixStore } from './prefix-store.ts';
import { Promotions } from './promotions.ts';
import { StoreLoads } from './store-loads.ts';
import { type PrefixTierParts, rawGroupsOf, uploadsOf, warmPart } from './tier-memory.ts';

/** What prompts may begin with beyond what the cache's own tree has: in the warm and the cold part, and in a store. */
export class PrefixTiers {
  readonly #parts: PrefixTierParts;
  readonly #below: DemotedTree;
  readonly #warm: WarmPart | undefined;
  readonly #raw: RawBlocks;
  readonly #uploads: readonly BlockUploads[];
  readonly #cold: readonly number[];
  readonly #store: PrefixStore | undefined;
  readonly #demotions: Demotions;
  readonly #promotions: Promotions;
  readonly #loads: StoreLoads;
  readonly #loadTimes: BreakEven | undefined;
  readonly #uploadTimes: BreakEven | undefined;
  readonly #stepTimes = new StepTimes();
  #hasRehearsed = false;
  readonly counts: TierCounts = new TierCounts();
  /** Is told that a prompt that was put off may be asked for again. */
  onReady: (() => void) | undefined;

  /** @throws OutOfMemoryError, then nothing was allocated */
  constructor(parts: PrefixTierParts) {
    const { device, shape, groups, blockSize, pools, tree, supply, options } = parts;
    const { warm = 0, cold = 0, store, model = '', salt = '', timeoutMs = 1000, onNote } = options;
    this.#parts = parts;
    const { counts } = this;
    this.#below = new DemotedTree(groups.length, blockSize);
    const rawGroups = rawGroupsOf(parts);
    this.#raw = new RawBlocks(device, rawGroups);
    this.#warm = warm > 0 ? warmPart(parts, warm) : undefined;
    this.#cold = groups.map(({ kind }) =>
      kind === 'state' ? Math.ceil(cold / parts.checkpointEvery) : cold / blockSize,
    );
    const lengthOf = (group: number, rounded: boolean) =>
      !rounded ? this.#raw.byteLength(group) : this.#warm?.blocks[group] && this.#warm.raw.byteLength(group);
    const identity = { model, shape, formats: formatsOf(shape, parts.formatOf, warm > 0), blockSize };
    this.#store = store && new PrefixStore(store, identity, salt, lengthOf, onNote, timeoutMs);
    const measured = options.load !== 'always';
    this.#loadTimes = measured ? new BreakEven() : undefined;
    this.#uploadTimes = measured ? new BreakEven() : undefined;
    const warmParts = this.#warm;
    this.#demotions = new Demotions({
      tree: this.#below,
      groups: groups.length,
      blockSize,
      hot: pools,
      raw: this.#raw,
      warm: warmParts,
      cold: this.#cold,
      store: this.#store,
      counts,
      onArrival: (group, bytes, rounded) => void this.#rehearse(group, bytes, rounded).catch(() => {}), // the device is gone
    });
    tree.onEvict = (node, group, block) => this.#demotions.note(node, group, block);
    this.#uploads = cold > 0 || store ? uploadsOf(parts, rawGroups, warmParts) : [];
    const completeness = new Completeness(groups, blockSize);
    const slots = (blocks: readonly number[]) =>
      Int32Array.from(
        { length: blocks.length * blockSize },
        (_, i) => blocks[Math.floor(i / blockSize)]! * blockSize + (i % blockSize),
      );
    this.#promotions = new Promotions({
      groups,
      blockSize,
      tree,
      supply,
      below: this.#below,
      completeness,
      demotions: this.#demotions,
      plain: this.#uploads[0],
      rounded: this.#uploads[1],
      raise: (group, from, to) => pools.copyFrom(warmParts!.pools, slots(from), slots(to), group),
      gate: this.#uploadTimes,
      counts,
    });
    this.#loads = new StoreLoads({
      below: this.#below,
      completeness,
      groups: groups.length,
      blockSize,
      store: this.#store,
      byteLength: (group) => this.#raw.byteLength(group),
      gate: this.#loadTimes,
      uploadSeconds: (bytes) => this.#uploadTimes?.seconds(bytes) ?? 0,
      timeoutMs,
      discard: (block) => this.#demotions.discard(block),
      ready: () => this.onReady?.(),
      most: 4 * parts.maxSequences,
    });
  }

  /** Device memory of the warm part, and of what blocks of the host come through. */
  get byteLength(): number {
    return this.#uploads.reduce((sum, { byteLength }) => sum + byteLength, this.#warmBytes);
  }
  get #warmBytes(): number {
    return this.#warm?.pools.byteLength ?? 0;
  }

  /** Leading blocks of a prompt that can be had at once. */
  match(prompt: KvPrompt): number {
    return this.#promotions.find(prompt).depth;
  }

  /** Brings up what there is of a prompt; false where it is to be asked for again, since more is on its way. */
  bring(id: string, prompt: KvPrompt): boolean {
    const at = this.#promotions.find(prompt);
    if (this.#loads.waits(id, prompt, at)) return false;
    this.#promotions.raise(prompt, at, true);
    return true;
  }
  /** The next prompt of this id is another one. */
  withdraw(id: string): void {
    this.#loads.end(id);
    this.#demotions.trim();
  }

  /** Copies what was forgotten, before anything is written in its place. */
  flush(): void {
    this.#demotions.flush();
  }

  /** Counts how long the device took for the step that a sequence was in last. */
  known(sequence: BlockSequence): void {
    const step = sequence.computing!;
    sequence.computing = undefined;
    const seconds = this.#stepTimes.ended(step, performance.now());
    const { rows } = step;
    // steps of few rows take about as long as those of one
    if (seconds === undefined || rows < this.#parts.blockSize) return;
    this.#loadTimes?.computed(rows, seconds);
    this.#uploadTimes?.computed(rows, seconds);
  }

  /** Measures how long blocks take to come back, before the first prompt decides by it: with one, and with some. */
  async #rehearse(group: number, bytes: readonly Uint8Array[], rounded: boolean): Promise<void> {
    const uploads = this.#uploads[rounded ? 1 : 0];
    if (this.#hasRehearsed || !this.#uploadTimes || !uploads) return;
    this.#hasRehearsed = true;
    for (const some of [bytes.slice(0, 1), bytes.slice(0, 16)]) {
      await uploads.rehearse(group, some); // the first of a size compiles what it runs
      this.#uploadTimes.loaded(some.length * some[0]!.length, await uploads.rehearse(group, some));
    }
  }

  /** Writes all that prompts may begin with to the store. Resolves when it has taken it, or said no. */
  async persist(): Promise<void> {
    if (!this.#store) return;
    const { groups, tree } = this.#parts;
    for (const group of groups.keys()) {
      const listed = tree.nodes().filter(({ blocks }) => blocks[group]! >= 0);
      for (let start = 0; start < listed.length; start += 64) {
        const some = listed.slice(start, start + 64).filter(({ attached, blocks }) => attached && blocks[group]! >= 0);
        const nodes = some.map((node) => ({ node: this.#below.at(node), exact: node.exact }));
        const reading = this.#raw.read(
          group,
          some.map(({ blocks }) => blocks[group]!),
        );
        for (const { node } of nodes) this.#below.prune(node);
        const bytes = await reading.catch(() => []);
        const read = nodes.flatMap(({ node, exact }, i) => {
          const own = bytes[i];
          return own ? [{ node, group, exact, rounded: false, bytes: own, byteLength: own.length }] : [];
        });
        this.#store.write(await this.#store.lacking(read));
        await this.#store.settled();
      }
      for (const place of ['warm', 'cold'] as const) {
        const kept = [...this.#below.blocks(place, group)];
        for (let start = 0; start < kept.length; start += 64) {
          const some = kept.slice(start, start + 64);
          this.#store.write(
            place === 'cold' ? this.#demotions.writable(some) : this.#demotions.writableWarm(group, some),
          );
          await this.#store.settled();
          if (place === 'cold') for (const block of some) block.stored = true;
        }
      }
    }
    await this.#store.settled();
  }

  /** Resolves when the store has taken, or refused, what it was given. */
  async settled(): Promise<void> {
    await this.#store?.settled();
  }

  /** @param hotBytes device memory of what steps read */
  stats(hotBytes: number): readonly KvTierStats[] {
    const { blockSize, groups, options } = this.#parts;
    const { pool } = groups[0]!;
    const { warm = 0, cold = 0 } = options;
    let coldBytes = 0;
    for (const group of groups.keys())
      for (const { bytes } of this.#below.blocks('cold', group)) coldBytes += bytes?.length ?? 0;
    const written = this.#store?.written ?? 0;
    const of: Record<TierName, { length: number; maxLength: number; bytes: number }> = {
      hot: { length: (pool.blocks - pool.freeCount) * blockSize, maxLength: pool.blocks * blockSize, bytes: hotBytes },
      warm: { length: this.#below.count('warm', 0) * blockSize, maxLength: warm, bytes: this.#warmBytes },
      cold: { length: this.#below.count('cold', 0) * blockSize, maxLength: cold, bytes: coldBytes },
      store: {
        length: (this.#store?.writtenOf(0) ?? 0) * blockSize,
        maxLength: Number.POSITIVE_INFINITY,
        bytes: written,
      },
    };
    const has = (name: TierName) => name === 'hot' || (name === 'store' ? this.#store : of[name].maxLength > 0);
    return tierNames.filter(has).map((name) => {
      const [hits, misses] = [this.counts.hits[name], this.counts.misses(name)];
      return {
        name: name === 'store' ? this.#store!.name : name,
        ...of[name],
        hits,
        misses,
        hitRate: hits + misses > 0 ? hits / (hits + misses) : 0,
        evictions: this.counts.evictions[name],
        promotions: this.counts.promotions[name],
      };
    });
  }

  /** @throws CacheIntegrityError */
  check(): void {
    this.#below.check();
    for (const [group, pool] of (this.#warm?.blocks ?? []).entries()) {
      const holders = new Int32Array(pool.blocks);
      for (const { warmBlock } of this.#below.blocks('warm', group)) holders[warmBlock]!++;
      pool.check(group, holders);
    }
    const [held, leases] = [this.#below.leases, this.#loads.leases];
    if (held > leases) throw new CacheIntegrityError(`cache: ${held} demoted blocks are leased, by ${leases} leases`);
    for (const [group, most] of this.#cold.entries()) {
      const count = this.#below.count('cold', group);
      if (count > most + leases)
        throw new CacheIntegrityError(`cache: ${count} blocks of group ${group} are cold, of at most ${most}`);
    }
  }

  dispose(): void {
    this.#loads.clear();
    this.#below.clear();
    for (const uploads of this.#uploads) uploads.dispose();
    this.#warm?.pools.dispose();
  }
}
