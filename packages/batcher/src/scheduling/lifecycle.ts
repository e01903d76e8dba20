import type { Capacity } from './capacity.ts';
import { type FinishRate, finishRate } from './finish-rate.ts';
import { Heap } from './heap.ts';
import type { FinishReason, SchedulerEvent, SequenceRequest } from './scheduler.ts';
import type { Sequence } from './sequence.ts';
import type { WaitingRoom } from './waiting-room.ts';

/** Who is alive, who runs, and what is told about it. */
export class Lifecycle<R extends SequenceRequest> {
  readonly alive: Map<string, Sequence<R>> = new Map();
  /** Everyone who holds capacity, in the order of admission. */
  readonly running: Sequence<R>[] = [];
  readonly waiting: WaitingRoom<R>;
  readonly finishRate: FinishRate = finishRate();
  /** Clock time of the call being served. */
  now = 0;

  readonly #capacity: Capacity<R>;
  readonly #finishing: (sequence: Sequence<R>) => void;
  readonly #deadlines: Heap<Sequence<R>>;
  #events: SchedulerEvent<R>[] = [];

  /** `finishing` is told of every sequence that comes to its own end. */
  constructor(capacity: Capacity<R>, waiting: WaitingRoom<R>, finishing: (sequence: Sequence<R>) => void) {
    this.#capacity = capacity;
    this.waiting = waiting;
    this.#finishing = finishing;
    this.#deadlines = new Heap((a, b) => a.deadline - b.deadline || a.order - b.order);
  }

  get idle(): boolean {
    return this.alive.size === 0 && this.#events.length === 0;
  }

  /** The events since the last call. */
  takeEvents(): SchedulerEvent<R>[] {
    const events = this.#events;
    this.#events = [];
    return events;
  }

  enter(sequence: Sequence<R>): void {
    const { request } = sequence;
    const parent = request.parent === undefined ? undefined : this.alive.get(request.parent);
    const early = parent && parent.state !== 'finished' && parent.settled < request.promptTokens - 1;
    // First, for a policy may refuse it.
    if (early) this.waiting.hold(sequence, parent.request.id);
    else this.waiting.enter(sequence);
    this.alive.set(request.id, sequence);
    if (sequence.deadline < Number.POSITIVE_INFINITY) this.#deadlines.push(sequence);
  }

  admitted(sequence: Sequence<R>, cachedTokens: number): void {
    const { request } = sequence;
    this.waiting.remove(sequence);
    const resumed = sequence.admit(cachedTokens);
    if (!resumed) this.waiting.charge(sequence, request.promptTokens - cachedTokens, 0);
    this.running.push(sequence);
    const waitMs = this.now - sequence.waitingSince;
    this.#events.push({ type: 'admitted', id: request.id, request, time: this.now, cachedTokens, waitMs, resumed });
  }

  /** Tells of a generated token, the one at `index` among them. */
  token(sequence: Sequence<R>, token: number, index: number): void {
    const { request } = sequence;
    const { now: time } = this;
    if (index === 0) {
      const sinceArrivalMs = time - sequence.arrival;
      this.#events.push({ type: 'firstToken', id: request.id, request, time, sinceArrivalMs });
    }
    this.#events.push({ type: 'token', id: request.id, request, time, token, index });
  }

  /** Sends a running sequence back to the queue. The caller compacts `running`. */
  preempt(sequence: Sequence<R>): void {
    const { request, computed: computedTokens } = sequence;
    this.#capacity.release(request, 'preempted');
    sequence.preempt(this.now);
    this.waiting.enter(sequence);
    this.#events.push({ type: 'preempted', id: request.id, request, time: this.now, computedTokens });
  }

  /** Ends a sequence; its capacity is released now or when no plan in flight contains it. The caller compacts `running`. */
  finish(sequence: Sequence<R>, reason: FinishReason, error?: unknown): void {
    const { request, newTokens } = sequence;
    this.#deadlines.remove(sequence);
    const ran = sequence.state === 'running';
    if (!ran) this.waiting.remove(sequence);
    sequence.finish();
    if (sequence.pending) this.#capacity.withdraw?.(request);
    if (reason === 'stop' || reason === 'length') this.#finishing(sequence);
    this.finishRate.finished(this.now);
    const sinceArrivalMs = this.now - sequence.arrival;
    const event = {
      type: 'finished',
      id: request.id,
      request,
      time: this.now,
      reason,
      newTokens,
      sinceArrivalMs,
    } as const;
    this.#events.push(error === undefined ? event : { ...event, error });
    this.waiting.releaseChildren(request.id);
    if (!ran) this.alive.delete(request.id);
    else this.close(sequence);
  }

  /** Releases the capacity of a finished sequence unless a plan in flight still writes to it. */
  close(sequence: Sequence<R>): void {
    if (sequence.inFlight > 0) return;
    this.#capacity.release(sequence.request, 'finished');
    this.alive.delete(sequence.request.id);
  }

  /** Ends everyone whose deadline has come. */
  expire(): void {
    for (;;) {
      const sequence = this.#deadlines.peek();
      if (!sequence || sequence.deadline > this.now) return;
      this.finish(sequence, 'deadline');
    }
  }

  /** Drops from `running` who holds no capacity any more. */
  compact(): void {
    const { running } = this;
    let kept = 0;
    for (const sequence of running) {
      if (sequence.state === 'running' || (sequence.state === 'finished' && sequence.inFlight > 0)) {
        running[kept++] = sequence;
      }
    }
    running.length = kept;
  }
}
