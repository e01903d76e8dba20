import type { KvTier } from '../tiers/kv-tier.ts';
import type { DemotedNode } from './demoted-node.ts';
import {
  type CacheIdentity,
  chainDigest,
  decodePrefixBlock,
  encodePrefixBlock,
  keyOfBlock,
  type PrefixBlockContent,
  rootDigest,
} from './prefix-file.ts';

/** A block on its way to a store. */
export interface WrittenBlock {
  readonly node: DemotedNode;
  readonly group: number;
  readonly exact: boolean;
  readonly rounded: boolean;
  /** Undefined where they could not be read. */
  readonly bytes: Uint8Array | Promise<Uint8Array | undefined>;
  readonly byteLength: number;
}

/** One part of a block that is asked for. */
export interface AskedBlock {
  readonly node: DemotedNode;
  readonly group: number;
}

/** Most bytes that wait to be written: what comes then is forgotten, as a store may forget anything. */
const maxWaiting = 2 ** 28;
/** How many times longer a write may take than an answer. */
const patience = 20;
/** Most blocks of one call. */
const batch = 64;

/** Blocks of prompts in a store, under names that only who knows their tokens can tell. Nothing that it does throws. */
export class PrefixStore {
  readonly name: string;
  readonly #tier: KvTier;
  readonly #identity: CacheIdentity;
  readonly #salt: string;
  readonly #byteLength: (group: number, rounded: boolean) => number | undefined;
  readonly #note: (note: string) => void;
  readonly #timeoutMs: number;
  readonly #waiting: WrittenBlock[] = [];
  #waitingBytes = 0;
  #writing: Promise<void> | undefined;
  /** Bytes that it took. */
  written = 0;
  readonly #counts: number[] = [];

  constructor(
    tier: KvTier,
    identity: CacheIdentity,
    salt: string,
    byteLength: (group: number, rounded: boolean) => number | undefined,
    onNote: ((note: string) => void) | undefined,
    timeoutMs: number,
  ) {
    this.#timeoutMs = timeoutMs;
    this.name = tier.name;
    this.#tier = tier;
    this.#identity = identity;
    this.#salt = salt;
    this.#byteLength = byteLength;
    this.#note = (note) => onNote?.(`${tier.name}: ${note}`);
  }

  /** Which of these it says to have; all of them where it cannot say. */
  async has(blocks: readonly AskedBlock[]): Promise<readonly boolean[]> {
    if (!this.#tier.has) return blocks.map(() => true);
    const found = await this.#tier.has(await this.#keys(blocks));
    return blocks.map((_, i) => found[i] === true);
  }

  /** Those that it does not say to have. */
  async lacking<B extends AskedBlock>(blocks: readonly B[]): Promise<readonly B[]> {
    if (!this.#tier.has) return blocks;
    try {
      const has = await within(this.#timeoutMs, this.has(blocks));
      return blocks.filter((_, i) => !has[i]);
    } catch {
      return blocks;
    }
  }

  /** What it has of these, some at a time: undefined for what is missing or doubtful. Leaving early reads no more. */
  async *read<B extends AskedBlock>(
    blocks: readonly B[],
  ): AsyncGenerator<readonly (readonly [asked: B, content: PrefixBlockContent | undefined])[], undefined> {
    const found = async (some: readonly B[]) => {
      const keys = await this.#keys(some);
      return { keys, some, bytes: await this.#tier.read(keys) };
    };
    let next: ReturnType<typeof found> | undefined;
    for (let start = 0; start < blocks.length; start += batch) {
      const { keys, some, bytes } = await (next ?? found(blocks.slice(start, start + batch)));
      // the next ones are on their way while these are checked
      next = start + batch < blocks.length ? found(blocks.slice(start + batch, start + 2 * batch)) : undefined;
      next?.catch(() => {}); // it is heard when its turn comes
      yield await Promise.all(
        some.map(async (block, i) => [block, await this.#checked(keys[i]!, block, bytes[i])] as const),
      );
    }
    return undefined;
  }

  /** Takes blocks to write when there is time. */
  write(blocks: readonly WrittenBlock[]): void {
    for (const block of blocks) {
      if (this.#waitingBytes + block.byteLength > maxWaiting) {
        this.#note(`a block was not written: ${this.#waitingBytes} bytes wait already`);
        continue;
      }
      this.#waiting.push(block);
      this.#waitingBytes += block.byteLength;
    }
    if (!this.#writing && this.#waiting.length > 0)
      this.#writing = this.#writeAll().finally(() => {
        this.#writing = undefined;
      });
  }

  /** Resolves when nothing waits to be written. */
  async settled(): Promise<void> {
    while (this.#writing) await this.#writing;
  }

  /** Blocks of a group that it took. */
  writtenOf(group: number): number {
    return this.#counts[group] ?? 0;
  }
  note(note: string): void {
    this.#note(note);
  }

  async #writeAll(): Promise<void> {
    while (this.#waiting.length > 0) {
      const some = this.#waiting.splice(0, batch);
      try {
        const keys = await this.#keys(some);
        const made = await Promise.all(
          some.map(async (block, i) => {
            const { exact, rounded } = block;
            const key = keys[i]!;
            const bytes = await block.bytes;
            if (!bytes) return [];
            return [{ key, bytes: await encodePrefixBlock(this.#of(key, block), { exact, rounded, bytes }) }];
          }),
        );
        const whole = made.flat();
        await within(patience * this.#timeoutMs, Promise.resolve(this.#tier.write(whole)));
        for (const { bytes } of whole) this.written += bytes.length;
        for (const [i, { group }] of some.entries())
          if (made[i]!.length > 0) this.#counts[group] = this.writtenOf(group) + 1;
      } catch (error) {
        // where the first are not taken in time the others are not either
        if (error instanceof LateError) some.push(...this.#waiting.splice(0));
        this.#note(`${some.length} blocks were not written: ${messageOf(error)}`);
      }
      for (const { byteLength } of some) this.#waitingBytes -= byteLength;
    }
  }

  async #checked(
    key: string,
    block: AskedBlock,
    found: Uint8Array | undefined,
  ): Promise<PrefixBlockContent | undefined> {
    if (found === undefined) return undefined;
    const lengthOf = (rounded: boolean) => this.#byteLength(block.group, rounded);
    const content = await decodePrefixBlock(this.#of(key, block), lengthOf, found);
    if (!content) this.#note(`a block at ${this.#of(key, block).start} is damaged, or of something else`);
    return content;
  }

  #of(key: string, { node, group }: AskedBlock) {
    const { namespace, depth, tokens } = node;
    const start = (depth - 1) * this.#identity.blockSize;
    return { key, cache: this.#identity, namespace, group, start, tokens: Array.from(tokens) };
  }

  #keys(blocks: readonly AskedBlock[]): Promise<string[]> {
    return Promise.all(blocks.map(async ({ node, group }) => keyOfBlock(await this.#digest(node), group)));
  }
  #digest(node: DemotedNode): Promise<Uint8Array> {
    const path: DemotedNode[] = [];
    for (let at: DemotedNode | undefined = node; at && !at.digest; at = at.parent) path.push(at);
    for (const at of path.reverse())
      at.digest = at.parent
        ? chainDigest(at.parent.digest!, at.tokens)
        : rootDigest(this.#identity, at.namespace, this.#salt);
    return node.digest!;
  }
}

/** A store did not answer in time. */
class LateError extends Error {}

async function within<T>(milliseconds: number, answer: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LateError(`no answer for ${milliseconds} ms`)), milliseconds);
  });
  try {
    return await Promise.race([answer, late]);
  } finally {
    clearTimeout(timer);
  }
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));
