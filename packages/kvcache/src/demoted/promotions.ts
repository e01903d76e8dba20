import type { BlockSupply } from '../blocks/block-supply.ts';
import type { Group } from '../blocks/group.ts';
import type { KvPrompt } from '../kv-cache.ts';
import type { BlockNode } from '../prefix/block-node.ts';
import type { BlockTree } from '../prefix/block-tree.ts';
import type { Completeness } from '../prefix/completeness.ts';
import type { BlockUploads } from '../storage/block-uploads.ts';
import type { TierCounts, TierName } from '../tiers/tier-counts.ts';
import type { BreakEven } from './break-even.ts';
import type { DemotedBlock, DemotedNode } from './demoted-node.ts';
import type { DemotedTree } from './demoted-tree.ts';
import type { Demotions } from './demotions.ts';

export interface PromotionParts {
  readonly groups: readonly Group[];
  readonly blockSize: number;
  readonly tree: BlockTree;
  readonly supply: BlockSupply;
  readonly below: DemotedTree;
  readonly completeness: Completeness;
  readonly demotions: Demotions;
  /** Brings up cold bytes of the cache's own format. */
  readonly plain: BlockUploads | undefined;
  /** Brings up cold bytes of the warm part's format. */
  readonly rounded: BlockUploads | undefined;
  /** Copies blocks of the warm part to blocks of the cache. */
  readonly raise: (group: number, from: readonly number[], to: readonly number[]) => Promise<void>;
  /** Whether to bring up what is in the host's memory; undefined: always. */
  readonly gate: BreakEven | undefined;
  readonly counts: TierCounts;
}

/** What is there of a prompt, in the cache and further down. */
export interface Whereabouts {
  /** Whole blocks that could be found. */
  readonly limit: number;
  readonly hot: readonly BlockNode[];
  readonly low: readonly DemotedNode[];
  /** Blocks that a sequence could begin with now. */
  readonly hotDepth: number;
  /** Those that it could begin with after a promotion. */
  readonly depth: number;
}

interface Raised {
  readonly column: number;
  readonly group: number;
  readonly from: DemotedBlock;
  block: number;
}

/** Brings blocks back to where steps read them, when a prompt begins with them. */
export class Promotions {
  readonly #parts: PromotionParts;
  /** Sizes of what was written before, as powers of two. */
  readonly #sizes: Set<number> = new Set();

  constructor(parts: PromotionParts) {
    this.#parts = parts;
  }

  /** Where the blocks of a prompt are. */
  find({ namespace = '', tokens, exact = false }: KvPrompt): Whereabouts {
    const { tree, below, completeness, blockSize } = this.#parts;
    // the last token is computed in any case: its result is what comes next
    const limit = Math.max(0, Math.floor((tokens.length - 1) / blockSize));
    let hot = tree.path(namespace, tokens, limit);
    const rounded = exact ? hot.findIndex((node) => !node.exact) : -1;
    if (rounded >= 0) hot = hot.slice(0, rounded);
    const end = rounded >= 0 ? rounded : limit;
    const low = below.path(namespace, tokens, end);
    const inCache = (column: number, group: number) => (hot[column]?.blocks[group] ?? -1) >= 0;
    const hotDepth = completeness.depth(hot.length, inCache);
    const has = (column: number, group: number) => {
      if (inCache(column, group)) return true;
      const block = low[column]?.blocks[group];
      return block !== undefined && isReady(block) && (block.exact || !exact);
    };
    const depth = completeness.depth(Math.max(hot.length, low.length), has);
    return { limit: end, hot, low, hotDepth, depth };
  }

  /** Brings up what of a prompt is in memory further down, as far as there is room. @returns whether anything was */
  raise(prompt: KvPrompt, { hot, low, hotDepth, depth: most }: Whereabouts, ask: boolean): boolean {
    const { tree, completeness, groups, gate, blockSize } = this.#parts;
    if (most <= hotDepth) return false;
    const held: [group: number, block: number][] = [];
    const hold = (depth: number): Raised[] => {
      const missing: Raised[] = [];
      for (const group of groups.keys())
        for (const column of completeness.needed(depth, group)) {
          const block = hot[column]?.blocks[group] ?? -1;
          if (block < 0) missing.push({ column, group, from: low[column]!.blocks[group]!, block });
          else {
            tree.retain(group, block);
            held.push([group, block]);
          }
        }
      return missing;
    };
    const letGo = () => {
      for (const [group, block] of held.splice(0)) tree.release(group, block);
    };
    try {
      let depth = most;
      let missing = hold(depth);
      while (depth > hotDepth && !this.#fits(missing)) {
        letGo();
        depth = this.#shallower(hot, low, depth, prompt.exact ?? false);
        missing = depth > hotDepth ? hold(depth) : [];
      }
      if (depth <= hotDepth) return false;
      const bytes = missing.reduce((sum, { from }) => sum + (from.bytes?.length ?? 0), 0);
      if (ask && gate && bytes > 0 && !gate.pays((depth - hotDepth) * blockSize, bytes)) return false;
      return this.#bring(prompt, hot, depth, missing, bytes);
    } finally {
      letGo();
    }
  }

  #fits(missing: readonly Raised[]): boolean {
    const wanted = new Map<number, number>();
    for (const { group } of missing) wanted.set(group, (wanted.get(group) ?? 0) + 1);
    for (const [group, count] of wanted) {
      // windows and states of open sequences can make room
      if (this.#parts.groups[group]!.kind === 'all' && count > this.#parts.supply.available(group)) return false;
    }
    return true;
  }

  #shallower(hot: readonly BlockNode[], low: readonly DemotedNode[], depth: number, exact: boolean): number {
    return this.#parts.completeness.depth(depth - 1, (column, group) => {
      if ((hot[column]?.blocks[group] ?? -1) >= 0) return true;
      const block = low[column]?.blocks[group];
      return block !== undefined && isReady(block) && (block.exact || !exact);
    });
  }

  #bring(prompt: KvPrompt, hot: readonly BlockNode[], depth: number, missing: Raised[], bytes: number): boolean {
    const { tree, supply, demotions, below } = this.#parts;
    for (const { from } of missing) from.leases++;
    const taken: Raised[] = [];
    for (const one of missing) {
      const block = supply.takeSpare(one.group);
      if (block === undefined) break;
      one.block = block;
      taken.push(one);
    }
    // what was forgotten for them is copied before they are written to
    demotions.flush();
    const complete = taken.length === missing.length;
    if (complete) this.#publish(prompt, hot, depth, missing, this.#upload(missing, bytes));
    for (const { group, block } of taken) tree.release(group, block);
    // the front of a prompt is kept longer than its end
    for (const { from } of [...missing].sort((a, b) => b.column - a.column)) {
      from.leases--;
      below.touch(from);
    }
    demotions.trim();
    return complete;
  }

  /** Writes the blocks, after the work that was submitted before the call. */
  #upload(missing: readonly Raised[], bytes: number): Promise<void> {
    const { groups, raise, gate } = this.#parts;
    const begun = performance.now();
    // the first of a size compiles what it runs
    const size = Math.ceil(Math.log2(missing.length));
    const isMeasured = this.#sizes.has(size);
    this.#sizes.add(size);
    const writing: Promise<void>[] = [];
    for (const group of groups.keys()) {
      const own = missing.filter((one) => one.group === group);
      const inWarm = own.filter(({ from }) => from.place === 'warm');
      const rounded = own.filter(({ from }) => from.place === 'cold' && from.rounded);
      const plain = own.filter(({ from }) => from.place === 'cold' && !from.rounded);
      const to = (some: readonly Raised[]) => some.map(({ block }) => block);
      const content = (some: readonly Raised[]) => some.map(({ from }) => from.bytes!);
      if (inWarm.length > 0)
        writing.push(
          raise(
            group,
            inWarm.map(({ from }) => from.warmBlock),
            to(inWarm),
          ),
        );
      if (rounded.length > 0) writing.push(this.#parts.rounded!.write(group, to(rounded), content(rounded)));
      if (plain.length > 0) writing.push(this.#parts.plain!.write(group, to(plain), content(plain)));
    }
    const all = Promise.all(writing).then(() => {
      if (bytes > 0 && isMeasured) gate?.loaded(bytes, (performance.now() - begun) / 1000);
    });
    all.catch(() => {}); // whoever begins with them hears of it
    return all;
  }

  #publish(
    { namespace = '', tokens, priority = 0 }: KvPrompt,
    hot: readonly BlockNode[],
    depth: number,
    missing: readonly Raised[],
    arriving: Promise<void>,
  ): void {
    const { tree, blockSize, counts } = this.#parts;
    const byColumn = new Map<number, Raised[]>();
    for (const one of missing) byColumn.set(one.column, [...(byColumn.get(one.column) ?? []), one]);
    let parent = tree.root(namespace);
    let exact = true;
    const nodes: BlockNode[] = [];
    for (let column = 0; column < depth; column++) {
      const raised = byColumn.get(column) ?? [];
      const known = hot[column];
      exact &&= (known?.exact ?? true) && raised.every(({ from }) => from.exact);
      const own = Int32Array.from({ length: blockSize }, (_, i) => tokens[column * blockSize + i]!);
      const blockOf = (group: number) => raised.find((one) => one.group === group)?.block ?? -1;
      const node = tree.publish(parent, own, blockOf, priority, known?.exact ?? exact);
      if (raised.some(({ from }) => !from.exact)) node.exact = false;
      if (raised.length > 0) {
        nodes.push(node);
        node.follow(arriving);
      }
      for (const { group, from } of raised) {
        // what it came from stays: forgotten again, it need not be read again
        node.demoted = from.node;
        if (group !== 0) continue;
        const tier: TierName = from.fetched ? 'store' : from.place;
        node.from = tier;
        counts.promotions[tier] += blockSize;
        from.fetched = false;
      }
      parent = node;
    }
    arriving.catch(() => {
      for (const node of nodes) tree.lose(node);
    });
  }
}

/** Whether it can be brought up at once. */
export const isReady = ({ place, bytes }: DemotedBlock): boolean => place === 'warm' || bytes !== undefined;
