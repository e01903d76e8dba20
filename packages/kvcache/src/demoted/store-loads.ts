import type { KvPrompt } from '../kv-cache.ts';
import type { Completeness } from '../prefix/completeness.ts';
import { AwakeTimer } from './awake-timer.ts';
import type { BreakEven } from './break-even.ts';
import type { DemotedBlock, DemotedNode } from './demoted-node.ts';
import type { DemotedTree } from './demoted-tree.ts';
import { type AskedBlock, messageOf, type PrefixStore } from './prefix-store.ts';
import { isReady, type Whereabouts } from './promotions.ts';

export interface StoreLoadParts {
  readonly below: DemotedTree;
  readonly completeness: Completeness;
  readonly groups: number;
  readonly blockSize: number;
  readonly store: PrefixStore | undefined;
  readonly byteLength: (group: number) => number;
  readonly gate: BreakEven | undefined;
  /** How long it takes to bring up what was read. */
  readonly uploadSeconds: (bytes: number) => number;
  /** How long it may take until some more blocks of a prompt are there. */
  readonly timeoutMs: number;
  /** Forgets a block of the cold part. */
  readonly discard: (block: DemotedBlock) => void;
  /** A wait has ended. */
  readonly ready: () => void;
  /** Most waits that nobody has asked about again. */
  readonly most: number;
}

/** What a prompt waits for. */
interface Load {
  /** Whether it may be asked for again. */
  done: boolean;
  /** Whether nobody waits any more. */
  over: boolean;
  readonly leased: DemotedBlock[];
}

/** Reads blocks of prompts from a store, into the cold part, while others go on. */
export class StoreLoads {
  readonly #parts: StoreLoadParts;
  readonly #loads: Map<string, Load> = new Map();

  constructor(parts: StoreLoadParts) {
    this.#parts = parts;
  }

  get size(): number {
    return this.#loads.size;
  }
  get leases(): number {
    let sum = 0;
    for (const { leased } of this.#loads.values()) sum += leased.length;
    return sum;
  }

  /**
   * Whether a prompt has to be asked for again: what is further down is on its way. Each is put off once, until `end`, and then
   * takes what there is.
   */
  waits(id: string, prompt: KvPrompt, at: Whereabouts): boolean {
    const load = this.#loads.get(id);
    if (load) return !load.done;
    const { store, blockSize, byteLength } = this.#parts;
    const arriving = this.#arriving(prompt, at);
    const more = at.limit - at.depth;
    const asks = store !== undefined && more > 0 && this.#pays(more * blockSize, more * byteLength(0));
    if (arriving.length === 0 && !asks) return false;
    this.#begin(id, prompt, at, arriving, asks);
    return true;
  }

  /** What was loaded for a prompt is held no longer, and the next prompt of this id is another one. */
  end(id: string): void {
    const load = this.#loads.get(id);
    if (!load) return;
    for (const block of load.leased.splice(0)) block.leases--;
    this.#loads.delete(id);
    load.over = true;
  }

  clear(): void {
    for (const id of [...this.#loads.keys()]) this.end(id);
  }

  /** What is on its way to the cold part and would be of use. */
  #arriving({ exact = false }: KvPrompt, { hot, low, limit, depth }: Whereabouts): DemotedBlock[] {
    const { completeness, groups } = this.#parts;
    const able = completeness.depth(Math.min(limit, Math.max(hot.length, low.length)), (column, group) => {
      const block = low[column]?.blocks[group];
      return (hot[column]?.blocks[group] ?? -1) >= 0 || (block !== undefined && (block.exact || !exact));
    });
    if (able <= depth) return [];
    const found: DemotedBlock[] = [];
    for (let group = 0; group < groups; group++)
      for (const column of completeness.needed(able, group)) {
        const block = low[column]?.blocks[group];
        if (block && !isReady(block)) found.push(block);
      }
    return found;
  }

  #begin(id: string, prompt: KvPrompt, at: Whereabouts, arriving: readonly DemotedBlock[], asks: boolean): void {
    // those that were never asked for again make room
    for (const [other, { done }] of this.#loads) if (this.#loads.size >= this.#parts.most && done) this.end(other);
    const load: Load = { done: false, over: false, leased: [] };
    for (const block of arriving) this.#lease(load, block);
    this.#loads.set(id, load);
    // the prompt is the caller's
    const own = { ...prompt, tokens: Int32Array.from(prompt.tokens) };
    const { timeoutMs, store, ready } = this.#parts;
    const end = () => {
      timer.end();
      if (load.done || load.over) return;
      load.done = true;
      ready();
    };
    const timer = new AwakeTimer(timeoutMs, () => {
      store?.note(`no answer for ${timeoutMs} ms`);
      this.#parts.gate?.loaded(at.limit * this.#parts.byteLength(0), timeoutMs / 1000);
      end();
    });
    const arrived = Promise.all(arriving.map((block) => block.arriving));
    const loaded = asks ? this.#load(own, load, timer) : undefined;
    Promise.all([arrived, loaded])
      .catch((error: unknown) => store?.note(`blocks were not read: ${messageOf(error)}`))
      .then(end);
  }

  /** Reads what the store has of a prompt. */
  async #load({ namespace = '', tokens, exact = false }: KvPrompt, load: Load, timer: AwakeTimer): Promise<void> {
    const { below, completeness, groups, blockSize, gate } = this.#parts;
    const store = this.#parts.store!;
    const limit = Math.floor((tokens.length - 1) / blockSize);
    const begun = performance.now();
    const path = below.whole(namespace, tokens, limit);
    const here = (column: number, group: number) => {
      const block = below.same(path[column]!)?.blocks[group];
      return block && (block.exact || !exact) ? block : undefined;
    };
    const asked: (AskedBlock & { readonly column: number })[] = [];
    for (let group = 0; group < groups; group++)
      for (let column = 0; column < limit; column++)
        if (!here(column, group)) asked.push({ node: path[column]!, group, column });
    const has = await store.has(asked);
    if (load.done || load.over) return;
    timer.renew();
    const listed = new Set(asked.filter((_, i) => has[i]).map(({ column, group }) => column * groups + group));
    const depth = completeness.depth(
      limit,
      (column, group) => here(column, group) !== undefined || listed.has(column * groups + group),
    );
    const wanted: (AskedBlock & { readonly column: number })[] = [];
    let bytes = 0;
    for (let group = 0; group < groups; group++)
      for (const column of completeness.needed(depth, group)) {
        const there = here(column, group);
        if (there) this.#lease(load, there);
        else {
          wanted.push({ node: path[column]!, group, column });
          bytes += this.#parts.byteLength(group);
        }
      }
    if (wanted.length === 0 || !this.#pays(depth * blockSize, bytes)) return;
    // of all groups what a prompt begins with first: what has come when time is over is of use
    wanted.sort((a, b) => a.column - b.column);
    for await (const some of store.read(wanted)) {
      if (load.done || load.over) return;
      timer.renew();
      for (const [{ node, group }, content] of some)
        if (content && (content.exact || !exact)) this.#put(load, node, { group, ...content });
    }
    gate?.loaded(bytes, (performance.now() - begun) / 1000);
  }

  /** Whether reading and bringing up takes less than computing. */
  #pays(tokens: number, bytes: number): boolean {
    const { gate, uploadSeconds } = this.#parts;
    return !gate || gate.pays(tokens, bytes, uploadSeconds(bytes));
  }

  #put(
    load: Load,
    asked: DemotedNode,
    {
      group,
      exact,
      rounded,
      bytes,
    }: Pick<DemotedBlock, 'group' | 'exact' | 'rounded'> & { readonly bytes: Uint8Array },
  ): void {
    const { below } = this.#parts;
    // while it was read the nodes may have been pruned
    const there = below.same(asked)?.blocks[group];
    if (there && (there.exact || !exact)) {
      this.#lease(load, there);
      return;
    }
    if (there) this.#parts.discard(there);
    const block: DemotedBlock = {
      node: below.made(asked),
      group,
      exact,
      rounded,
      bytes,
      place: 'cold',
      warmBlock: -1,
      arriving: undefined,
      leases: 0,
      stored: true,
      fetched: true,
    };
    below.put(block);
    this.#lease(load, block);
  }

  #lease(load: Load, block: DemotedBlock): void {
    block.leases++;
    load.leased.push(block);
  }
}
