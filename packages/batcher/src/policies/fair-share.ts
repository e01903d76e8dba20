import { aFunction, atLeast0, checkArgument, checkOptions, optional, positive } from '../checks.ts';
import { Heap } from '../scheduling/heap.ts';
import type { Policy, SequenceView, WaitingQueue } from './policy.ts';

/** How `fairShare` counts. */
export interface FairShareOptions {
  /** Share of a tenant relative to others'. Default 1 for everyone. */
  readonly weightOf?: (tenant: string) => number;
  /** Price of a computed prompt token. Default 1. */
  readonly promptTokenPrice?: number;
  /** Price of a generated token. Default 2. */
  readonly newTokenPrice?: number;
}

/**
 * Tenants that want more than there is get equal shares, whatever each of them asks for. Every tenant has a virtual
 * counter of the tokens it was served; the next request is the first one of the waiting tenant with the lowest counter.
 * A tenant that comes back after a pause is lifted to the lowest counter of those who wait, so nobody saves up (virtual
 * token counter, https://arxiv.org/abs/2401.00588).
 *
 * @throws BatcherError ERR_ARGUMENT; so does `add` for a tenant whose weight is not greater than 0
 */
export function fairShare(options: FairShareOptions = {}): Policy {
  checkOptions<FairShareOptions>('fairShare', options, {
    weightOf: optional(aFunction),
    promptTokenPrice: optional(atLeast0),
    newTokenPrice: optional(atLeast0),
  });
  return {
    name: 'fair-share',
    compare: (a, b) => a.order - b.order,
    createQueue: () => new FairQueue(options),
  };
}

interface Tenant<S> {
  readonly weight: number;
  /** Tokens served, by price and weight. */
  counter: number;
  /** When it joined those who wait; breaks ties. */
  turn: number;
  readonly waiting: Heap<S>;
}

/** Tenants that are forgotten no sooner than this many are known. */
const KEEP = 64;

class FairQueue<S extends SequenceView> implements WaitingQueue<S> {
  readonly #options: FairShareOptions;
  readonly #tenants: Map<string, Tenant<S>> = new Map();
  readonly #active: Heap<Tenant<S>> = new Heap((a, b) => a.counter - b.counter || a.turn - b.turn);
  #size = 0;
  #turns = 0;
  /** The lowest counter of those who wait, or waited last: what a tenant that is not known starts with. */
  #floor = 0;
  #forgetAbove = KEEP;

  constructor(options: FairShareOptions) {
    this.#options = options;
  }

  get size(): number {
    return this.#size;
  }

  push(sequence: S): void {
    const tenant = this.#tenant(sequence);
    tenant.waiting.push(sequence);
    this.#size++;
    if (tenant.waiting.size > 1) return;
    this.#raiseFloor();
    tenant.counter = Math.max(tenant.counter, this.#floor);
    tenant.turn = this.#turns++;
    this.#active.push(tenant);
  }

  peek(): S | undefined {
    return this.#active.peek()?.waiting.peek();
  }

  remove(sequence: S): boolean {
    const tenant = this.#tenants.get(tenantOf(sequence));
    if (!tenant?.waiting.remove(sequence)) return false;
    this.#size--;
    if (tenant.waiting.size > 0) return true;
    this.#active.remove(tenant);
    if (this.#active.size === 0) this.#floor = Math.max(this.#floor, tenant.counter);
    this.#forget();
    return true;
  }

  charge(sequence: S, promptTokens: number, newTokens: number): void {
    const { promptTokenPrice = 1, newTokenPrice = 2 } = this.#options;
    const tenant = this.#tenant(sequence);
    const waits = this.#active.remove(tenant);
    const price = promptTokens * promptTokenPrice + newTokens * newTokenPrice;
    tenant.counter += price / tenant.weight;
    if (waits) this.#active.push(tenant);
  }

  #tenant(sequence: S): Tenant<S> {
    const name = tenantOf(sequence);
    let tenant = this.#tenants.get(name);
    if (!tenant) {
      const weight = this.#options.weightOf?.(name) ?? 1;
      checkArgument('fairShare', `the weight of tenant '${name}'`, weight, positive);
      tenant = { weight, counter: this.#floor, turn: 0, waiting: new Heap((a, b) => a.order - b.order) };
      this.#tenants.set(name, tenant);
    }
    return tenant;
  }

  #raiseFloor(): void {
    this.#floor = Math.max(this.#floor, this.#active.peek()?.counter ?? 0);
  }

  /** Drops the tenants that would be lifted to the floor anyway, now and then. */
  #forget(): void {
    if (this.#tenants.size <= this.#forgetAbove) return;
    this.#raiseFloor();
    for (const [name, { waiting, counter }] of this.#tenants) {
      if (waiting.size === 0 && counter <= this.#floor) this.#tenants.delete(name);
    }
    this.#forgetAbove = Math.max(KEEP, 2 * this.#tenants.size);
  }
}

function tenantOf({ request }: SequenceView): string {
  return request.tenant ?? '';
}
