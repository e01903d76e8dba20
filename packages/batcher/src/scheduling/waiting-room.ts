import type { Policy, PolicyContext, WaitingQueue } from '../policies/policy.ts';
import { Heap } from './heap.ts';
import type { SequenceRequest } from './scheduler.ts';
import type { Sequence } from './sequence.ts';

/** Everything that is alive and not running: the policy's queue, and who may not join it yet. */
export class WaitingRoom<R extends SequenceRequest> {
  readonly #queue: WaitingQueue<Sequence<R>>;
  readonly #children: Map<string, Sequence<R>[]> = new Map();
  #pending: Sequence<R>[] = [];
  #outside = 0;

  constructor(policy: Policy<R>, context: PolicyContext<R>) {
    this.#queue = policy.createQueue?.<Sequence<R>>(context) ?? new Heap((a, b) => policy.compare(a, b));
  }

  get size(): number {
    return this.#queue.size + this.#pending.length + this.#outside;
  }

  /** The next to admit, if the policy has one. */
  peek(): Sequence<R> | undefined {
    return this.#queue.peek();
  }

  /** Takes a sequence back in, or in for the first time; one with a slow reader stays outside the queue. */
  enter(sequence: Sequence<R>): void {
    sequence.wait();
    if (sequence.paused) this.#outside++;
    else this.#queue.push(sequence);
  }

  /** Keeps a sequence outside the queue until `releaseChildren` of its parent. */
  hold(sequence: Sequence<R>, parent: string): void {
    sequence.hold();
    this.#outside++;
    const siblings = this.#children.get(parent);
    if (siblings) siblings.push(sequence);
    else this.#children.set(parent, [sequence]);
  }

  /** Lets in the children whose shared tokens are among the parent's first `computed`; all of them by default. */
  releaseChildren(parent: string, computed: number = Number.POSITIVE_INFINITY): void {
    const children = this.#children.get(parent);
    if (!children) return;
    let kept = 0;
    for (const child of children) {
      if (child.request.promptTokens - 1 > computed) children[kept++] = child;
      else {
        this.#outside--;
        this.enter(child);
      }
    }
    children.length = kept;
    if (kept === 0) this.#children.delete(parent);
  }

  /** Sets the head of the queue aside until the next step, for the capacity is not ready for it. */
  defer(sequence: Sequence<R>): void {
    sequence.defer();
    this.#queue.remove(sequence);
    this.#pending.push(sequence);
  }

  /** Brings back who was set aside. */
  retryDeferred(): void {
    if (this.#pending.length === 0) return;
    for (const sequence of this.#pending) this.#queue.push(sequence);
    this.#pending = [];
  }

  /** Takes a waiting sequence out, wherever it waits. */
  remove(sequence: Sequence<R>): void {
    if (sequence.state === 'queued') {
      if (!this.#queue.remove(sequence)) this.#pending.splice(this.#pending.indexOf(sequence), 1);
      return;
    }
    this.#outside--;
    const { parent } = sequence.request;
    if (sequence.state !== 'held' || parent === undefined) return;
    const siblings = this.#children.get(parent);
    siblings?.splice(siblings.indexOf(sequence), 1);
    if (siblings?.length === 0) this.#children.delete(parent);
  }

  charge(sequence: Sequence<R>, promptTokens: number, newTokens: number): void {
    this.#queue.charge?.(sequence, promptTokens, newTokens);
  }
}
