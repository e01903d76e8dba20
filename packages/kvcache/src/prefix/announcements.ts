import type { BlockNode } from './block-node.ts';

/** A full block of a prompt that an open sequence is about to compute. */
export interface Announcement {
  /** What it comes after: the node of the block before, or the namespace where there is none. */
  readonly after: BlockNode | string;
  readonly tokens: ArrayLike<number>;
  readonly start: number;
  /** How often somebody was told to wait for it. */
  asked: number;
}

/** How often one block is waited for: whoever computes it may have been set aside, and nobody may wait for that for ever. */
const patience = 256;

/** Blocks that are being computed, so that nobody else begins with the same ones. */
export class Announcements {
  readonly #blockSize: number;
  readonly #open: Map<BlockNode | string, Announcement[]> = new Map();

  constructor(blockSize: number) {
    this.#blockSize = blockSize;
  }

  add(after: BlockNode | string, tokens: ArrayLike<number>, start: number): Announcement {
    const announcement = { after, tokens, start, asked: 0 };
    const others = this.#open.get(after);
    if (others) others.push(announcement);
    else this.#open.set(after, [announcement]);
    return announcement;
  }

  withdraw(announcement: Announcement): void {
    const others = this.#open.get(announcement.after);
    if (!others) return;
    const at = others.indexOf(announcement);
    if (at >= 0) others.splice(at, 1);
    if (others.length === 0) this.#open.delete(announcement.after);
  }

  /** Whether somebody is computing the block of these tokens, and it is worth while to wait for it. */
  awaits(after: BlockNode | string, tokens: ArrayLike<number>, start: number): boolean {
    const same = this.#open.get(after)?.find((one) => this.#equal(one, tokens, start));
    return same !== undefined && same.asked++ < patience;
  }

  get size(): number {
    let count = 0;
    for (const others of this.#open.values()) count += others.length;
    return count;
  }

  #equal(one: Announcement, tokens: ArrayLike<number>, start: number): boolean {
    for (let i = 0; i < this.#blockSize; i++) if (one.tokens[one.start + i] !== tokens[start + i]) return false;
    return true;
  }
}
