import { ArgumentError } from '@heddle/tensor';
import type { BlockSequence } from '../blocks/block-sequence.ts';
import type { Group } from '../blocks/group.ts';
import type { KvPrompt } from '../kv-cache.ts';
import { type Announcement, Announcements } from './announcements.ts';
import type { BlockNode } from './block-node.ts';
import { BlockTree } from './block-tree.ts';
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
  }

  match(prompt: KvPrompt): number {
    const { namespace, tokens } = checkedPrompt('match', prompt);
    return this.#serves(prompt) ? this.#usable(this.#path(namespace, tokens)) * this.#blockSize : 0;
  }

  /** The nodes that a sequence of this prompt may begin with; 'pending' where somebody computes the next one. */
  find(prompt: KvPrompt | undefined): FoundPrefix | 'pending' {
    if (!prompt) return nothing;
    const { namespace, tokens } = checkedPrompt('sequence', prompt);
    if (!this.#serves(prompt)) return nothing;
    const path = this.#path(namespace, tokens);
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
      const gone = Math.max(list.kept, this.#firstSeen(group, path.length));
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
    this.#announce(sequence);
  }

  /** Lists the full blocks among tokens that are now known. */
  know(sequence: BlockSequence, tokens: ArrayLike<number>): void {
    for (let i = 0; i < tokens.length; i++) {
      sequence.known++;
      if (!sequence.listed) continue;
      sequence.tail.push(tokens[i]!);
      if (sequence.tail.length === this.#blockSize) this.#publish(sequence);
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
      tail.splice(0, tail.length, ...open);
    } else tail.length = Math.max(0, length - path.length * this.#blockSize);
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
    copy.path = [...source.path];
    copy.tail.push(...source.tail);
    copy.known = source.known;
    this.cut(copy, copy.length);
  }

  end(sequence: BlockSequence): void {
    // a sequence of which nothing was computed has not used what it found: whoever found no room asks again
    if (!sequence.used) {
      this.hitTokens -= sequence.foundTokens;
      this.missTokens -= sequence.missedTokens;
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
      tail.length = 0;
      this.#withdraw(sequence);
      return;
    }
    const state = sequence.states.at((column + 1) * this.#blockSize);
    const blockOf = (group: number) => {
      const list = lists[group];
      if (!list) return state?.slot ?? -1;
      return list.holds(column) ? list.table[column]! : -1;
    };
    const node = this.tree.publish(parent, Int32Array.from(tail), blockOf, origin.priority);
    tail.length = 0;
    path.push(node);
    for (const group of this.#groups.keys()) {
      const [own, listed] = [blockOf(group), node.blocks[group]!];
      if (own < 0 || own === listed) continue;
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

  #serves({ exact = false }: KvPrompt): boolean {
    return this.#shares && (this.#exact || !exact);
  }

  #path(namespace: string, tokens: ArrayLike<number>): BlockNode[] {
    // the last token is computed in any case: its result is what comes next
    return this.tree.path(namespace, tokens, Math.floor((tokens.length - 1) / this.#blockSize));
  }

  /** How many leading nodes have all that a sequence that begins with them will read. */
  #usable(path: readonly BlockNode[]): number {
    let depth = path.length;
    while (depth > 0 && !this.#groups.every((group, index) => this.#complete(path, depth, group, index))) depth--;
    return depth;
  }
  #complete(path: readonly BlockNode[], depth: number, { keepFirst, kind }: Group, group: number): boolean {
    if (kind === 'all') return true;
    if (kind === 'state') return path[depth - 1]!.blocks[group]! >= 0;
    const kept = Math.ceil(keepFirst / this.#blockSize);
    for (let column = depth - 1; column >= this.#firstSeen(group, depth); column--)
      if (path[column]!.blocks[group]! < 0) return false;
    for (let column = 0; column < Math.min(kept, depth); column++) if (path[column]!.blocks[group]! < 0) return false;
    return true;
  }
  /** The first column that is in the window of the token after `depth` blocks. */
  #firstSeen(group: number, depth: number): number {
    const { window } = this.#groups[group]!;
    if (window === undefined) return 0;
    return Math.max(0, Math.floor((depth * this.#blockSize - window + 1) / this.#blockSize));
  }
}

function checkedPrompt(operation: string, prompt: KvPrompt): { namespace: string; tokens: ArrayLike<number> } {
  const { namespace = '', tokens, priority = 0 } = prompt;
  if (typeof namespace !== 'string')
    throw new ArgumentError(`${operation}: namespace must be a string, got ${String(namespace)}`);
  if (typeof tokens?.length !== 'number')
    throw new ArgumentError(`${operation}: tokens must be a list of token ids, got ${String(tokens)}`);
  if (!Number.isFinite(priority)) throw new ArgumentError(`${operation}: priority must be a number, got ${priority}`);
  return { namespace, tokens };
}
