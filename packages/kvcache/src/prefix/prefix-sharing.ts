import { checkOptions } from '@heddle/tensor';
import { checkArrayLike, checkIds } from '../array-like.ts';
import type { BlockSequence } from '../blocks/block-sequence.ts';
import type { Group } from '../blocks/group.ts';
import type { KvPrompt } from '../kv-cache.ts';
import { type TierCounts, type TierName, tierNames } from '../tiers/tier-counts.ts';
import { type Announcement, Announcements } from './announcements.ts';
import type { BlockNode } from './block-node.ts';
import { BlockTree } from './block-tree.ts';
import { Completeness } from './completeness.ts';
import { type EvictionPolicy, leastRecentlyUsed } from './eviction-policies.ts';

/** What a sequence may begin with. */
export interface FoundPrefix {
  readonly nodes: readonly BlockNode[];
  /** Tokens that are listed, of which a state or a window is missing further on. */
  readonly listedTokens: number;
}

const nothing: FoundPrefix = { nodes: [], listedTokens: 0 };

/** Lets sequences begin with blocks that others have computed, and lists what they compute themselves. */
export class PrefixSharing {
  readonly tree: BlockTree;
  readonly #groups: readonly Group[];
  readonly #blockSize: number;
  readonly #shares: boolean;
  readonly #exact: boolean;
  readonly #announcements: Announcements;
  readonly #completeness: Completeness;
  /** Counts by tier, where there are tiers. */
  counts: TierCounts | undefined;
  hitTokens = 0;
  missTokens = 0;

  /**
   * @param eviction undefined where nothing is shared
   * @param exact whether rows are kept as they were computed
   */
  constructor(groups: readonly Group[], blockSize: number, eviction: EvictionPolicy | undefined, exact: boolean) {
    this.#exact = exact;
    this.#groups = groups;
    this.#blockSize = blockSize;
    this.#shares = eviction !== undefined;
    this.tree = new BlockTree(groups, blockSize, eviction ?? leastRecentlyUsed());
    this.#announcements = new Announcements(blockSize);
    this.#completeness = new Completeness(groups, blockSize);
  }

  match(prompt: KvPrompt): number {
    return this.serves('match', prompt) ? this.#usable(this.#path(prompt)) * this.#blockSize : 0;
  }
  /** Whether anything can be found for a prompt. @throws ArgumentError */
  serves(operation: string, prompt: KvPrompt): boolean {
    checkPrompt(operation, prompt);
    return this.#shares && (this.#exact || !prompt.exact);
  }

  /** The nodes that a sequence of this prompt may begin with; 'pending' where somebody computes the next one. */
  find(prompt: KvPrompt | undefined): FoundPrefix | 'pending' {
    if (prompt === undefined) return nothing;
    const { namespace = '', tokens } = prompt;
    if (!this.serves('sequence', prompt)) return nothing;
    const path = this.#path(prompt);
    const start = path.length * this.#blockSize;
    const more = start + this.#blockSize < tokens.length;
    if (more && this.#announcements.awaits(path.at(-1) ?? namespace, tokens, start)) return 'pending';
    return { nodes: path.slice(0, this.#usable(path)), listedTokens: start };
  }

  /** Gives a new sequence the rows of what was found, and announces what it will compute. */
  begin(sequence: BlockSequence, { nodes: path }: FoundPrefix, prompt: KvPrompt | undefined): void {
    sequence.listed = this.#shares;
    if (!prompt) return;
    const { namespace = '', priority = 0, tokens } = prompt;
    sequence.origin = { namespace, priority, tokens };
    for (const [group, list] of sequence.lists.entries()) {
      const gone = Math.max(list.kept, this.#completeness.firstSeen(group, path.length));
      for (const [column, node] of path.entries()) {
        if (column >= list.kept && column < gone) list.skip();
        else {
          this.tree.retain(group, node.blocks[group]!);
          list.push(node.blocks[group]!);
        }
      }
      list.gone = Math.max(list.kept, Math.min(gone, list.end));
    }
    const found = path.length * this.#blockSize;
    sequence.path = [...path];
    sequence.length = found;
    sequence.reserved = found;
    sequence.known = found;
    sequence.foundTokens = found;
    sequence.missedTokens = tokens.length - found;
    this.hitTokens += found;
    this.missTokens += tokens.length - found;
    this.tree.hit(path, priority);
    for (const { arriving, exact } of path) {
      if (arriving) sequence.follow(arriving);
      if (!exact) sequence.exact = false;
    }
    if (this.counts) this.#count(sequence, this.counts, path);
    this.#announce(sequence);
  }

  /** Lists the full blocks among tokens that are now known. */
  know(sequence: BlockSequence, tokens: ArrayLike<number>): void {
    sequence.known += tokens.length;
    for (let i = 0; i < tokens.length && sequence.listed; i++) {
      sequence.tail[sequence.tailLength++] = tokens[i]!;
      if (sequence.tailLength === this.#blockSize) this.#publish(sequence);
    }
  }

  /** Forgets what a sequence knows from position `length` on. */
  cut(sequence: BlockSequence, length: number): void {
    if (length >= sequence.known) return;
    const { path, tail } = sequence;
    const listed = Math.floor(length / this.#blockSize);
    if (listed < path.length) {
      const open = path[listed]!.tokens.subarray(0, length % this.#blockSize);
      path.length = listed;
      tail.set(open);
      sequence.tailLength = open.length;
    } else sequence.tailLength = Math.max(0, length - path.length * this.#blockSize);
    sequence.known = length;
    // what it computes from here on need not be the prompt that it was opened with
    this.#withdraw(sequence);
    sequence.origin = { ...sequence.origin, tokens: [] };
  }

  /** What a fork knows of the tokens of its source. */
  inherit(copy: BlockSequence, source: BlockSequence): void {
    const { namespace, priority } = source.origin;
    copy.origin = { namespace, priority, tokens: [] };
    copy.listed = source.listed;
    copy.exact = source.exact;
    copy.path = [...source.path];
    copy.tail.set(source.tail);
    copy.tailLength = source.tailLength;
    copy.known = source.known;
    this.cut(copy, copy.length);
  }

  end(sequence: BlockSequence): void {
    // a sequence of which nothing was computed has not used what it found: whoever found no room asks again
    if (!sequence.used) {
      this.hitTokens -= sequence.foundTokens;
      this.missTokens -= sequence.missedTokens;
      if (this.counts) this.#takeBack(sequence, this.counts);
    }
    this.#withdraw(sequence);
    this.tree.tick();
  }

  /** After a sequence has given everything back. */
  clean({ path }: BlockSequence): void {
    const last = path.at(-1);
    if (last) this.tree.prune(last);
  }

  #publish(sequence: BlockSequence): void {
    const { path, tail, lists, origin } = sequence;
    const column = path.length;
    const parent = path.at(-1) ?? this.tree.root(origin.namespace);
    if (!parent.attached) {
      // windows only: what came before was forgotten, and nobody can find what comes after it
      sequence.listed = false;
      sequence.tailLength = 0;
      this.#withdraw(sequence);
      return;
    }
    const groups = this.#groups.length;
    const state = lists.length < groups ? sequence.states.at((column + 1) * this.#blockSize) : undefined;
    const blockOf = (group: number) => {
      const list = lists[group];
      if (!list) return state?.slot ?? -1;
      return list.holds(column) ? list.table[column]! : -1;
    };
    const node = this.tree.publish(parent, tail, blockOf, origin.priority, sequence.exact);
    if (node.tokens === tail) sequence.tail = new Int32Array(this.#blockSize);
    sequence.tailLength = 0;
    path.push(node);
    for (let group = 0; group < groups; group++) {
      const [own, listed] = [blockOf(group), node.blocks[group]!];
      if (own < 0 || own === listed) continue;
      if (node.arriving) sequence.follow(node.arriving);
      // somebody else was first: one block is enough for both
      this.tree.retain(group, listed);
      this.tree.release(group, own);
      const list = lists[group];
      if (list) {
        list.table[column] = listed;
        sequence.version++;
      } else state!.slot = listed;
    }
    if (sequence.announcement) this.#announce(sequence);
  }

  /** Announces the next full block of the prompt in place of the last. */
  #announce(sequence: BlockSequence): void {
    this.#withdraw(sequence);
    const { path, origin } = sequence;
    const start = path.length * this.#blockSize;
    if (!sequence.listed || start + this.#blockSize > origin.tokens.length) return;
    sequence.announcement = this.#announcements.add(path.at(-1) ?? origin.namespace, origin.tokens, start);
  }
  #withdraw(sequence: BlockSequence): void {
    const announcement: Announcement | undefined = sequence.announcement;
    if (announcement) this.#announcements.withdraw(announcement);
    sequence.announcement = undefined;
  }

  /** Counts where the tokens of a prompt were found. */
  #count(sequence: BlockSequence, counts: TierCounts, path: readonly BlockNode[]): void {
    sequence.foundIn = path.map((node) => {
      const { from } = node;
      node.from = 'hot';
      counts.hits[from] += this.#blockSize;
      return from;
    });
    counts.missing += sequence.missedTokens;
  }
  #takeBack(sequence: BlockSequence, counts: TierCounts): void {
    for (const [column, from] of sequence.foundIn.entries()) {
      counts.hits[from] -= this.#blockSize;
      const node = sequence.path[column];
      if (node) node.from = lower(node.from, from);
    }
    counts.missing -= sequence.missedTokens;
    sequence.foundIn = [];
  }

  #path({ namespace = '', tokens, exact = false }: KvPrompt): BlockNode[] {
    // the last token is computed in any case: its result is what comes next
    const path = this.tree.path(namespace, tokens, Math.floor((tokens.length - 1) / this.#blockSize));
    const rounded = exact ? path.findIndex((node) => !node.exact) : -1;
    return rounded < 0 ? path : path.slice(0, rounded);
  }

  /** How many leading nodes have all that a sequence that begins with them will read. */
  #usable(path: readonly BlockNode[]): number {
    return this.#completeness.depth(path.length, (column, group) => path[column]!.blocks[group]! >= 0);
  }
}

const lower = (a: TierName, b: TierName): TierName => (tierNames.indexOf(a) < tierNames.indexOf(b) ? b : a);

function checkPrompt(operation: string, prompt: KvPrompt): void {
  checkOptions(operation, prompt, { tokens: 'anything', namespace: 'text?', priority: 'finite?', exact: 'boolean?' });
  checkArrayLike(operation, 'tokens', prompt.tokens);
  checkIds(operation, prompt.tokens);
}
