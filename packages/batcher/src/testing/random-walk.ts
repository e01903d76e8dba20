import { aFunction, checkArgument, checkOptions, count, having, optional } from '../checks.ts';
import type { Random } from '../load/random.ts';
import type { Scheduler, SchedulerEvent, SequenceRequest, SequenceResult, StepPlan } from '../scheduling/scheduler.ts';
import { AuditError } from './audit-error.ts';

/** What a random walk may do and how long it is. */
export interface RandomWalkOptions {
  /** Calls before it stops adding and runs everything to its end. */
  readonly calls: number;
  readonly random: Random;
  readonly maxPromptTokens: number;
  readonly maxNewTokens: number;
  /** Most plans in flight. Default 1. */
  readonly maxPlansInFlight?: number;
  /** Moves the scheduler's clock on. */
  readonly advance: (ms: number) => void;
}

/** What a random walk saw. */
export interface RandomWalkOutcome {
  readonly accepted: number;
  readonly finished: number;
  readonly steps: number;
  readonly preemptions: number;
}

/** The token that a request's stream has at a generated index: known beforehand, so that a wrong one is noticed. */
function tokenAt(request: SequenceRequest, index: number): number {
  let hash = index + 1;
  for (let i = 0; i < request.id.length; i++) hash = Math.imul(hash ^ request.id.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

/**
 * Walks a scheduler at random: adds, steps, aborts, pauses, deadlines, drafts, shared prompts, discarded plans.
 *
 * @throws BatcherError ERR_ARGUMENT; AuditError where a token is wrong or a request does not end
 */
export function randomWalk(scheduler: Scheduler, options: RandomWalkOptions): RandomWalkOutcome {
  checkArgument('randomWalk', 'scheduler', scheduler, having('add', 'step', 'commit', 'discard'));
  checkOptions<RandomWalkOptions>('randomWalk', options, {
    calls: count(0),
    random: aFunction,
    maxPromptTokens: count(1),
    maxNewTokens: count(0),
    maxPlansInFlight: optional(count(1)),
    advance: aFunction,
  });
  const walk = new Walk(scheduler, options);
  for (let i = 0; i < options.calls; i++) walk.call();
  walk.finish();
  return walk.outcome();
}

class Walk {
  readonly #scheduler: Scheduler;
  readonly #options: RandomWalkOptions;
  /** Generated tokens by living request, events included. */
  readonly #generated: Map<string, number> = new Map();
  readonly #stopAt: Map<string, number> = new Map();
  readonly #flights: StepPlan[] = [];
  #adds = 0;
  #accepted = 0;
  #finished = 0;
  #steps = 0;
  #preemptions = 0;

  constructor(scheduler: Scheduler, options: RandomWalkOptions) {
    this.#scheduler = scheduler;
    this.#options = options;
  }

  outcome(): RandomWalkOutcome {
    const { load } = this.#scheduler;
    const left = this.#accepted - this.#finished;
    if (left !== 0 || load.waiting !== 0 || load.running !== 0) {
      throw new AuditError(`every accepted request ends; ${left} did not, load ${JSON.stringify(load)}`);
    }
    return { accepted: this.#accepted, finished: this.#finished, steps: this.#steps, preemptions: this.#preemptions };
  }

  call(): void {
    const choice = this.#upTo(100);
    this.#options.advance(this.#options.random() * 2);
    if (choice < 22) this.#add();
    else if (choice < 26) this.#scheduler.abort(this.#any());
    else if (choice < 30) this.#scheduler.pause(this.#any());
    else if (choice < 36) this.#scheduler.resume(this.#any());
    else if (choice < 38) this.#discard();
    else this.#turn();
  }

  /** Runs everything to its end: within as many steps as there are tokens, for nothing may starve. */
  finish(): void {
    for (const id of this.#generated.keys()) this.#scheduler.resume(id);
    const { maxPromptTokens, maxNewTokens } = this.#options;
    const most = (this.#generated.size + 1) * (maxPromptTokens + maxNewTokens + 2) * (maxNewTokens + 2);
    for (let turns = 0; !this.#scheduler.idle || this.#flights.length > 0; turns++) {
      if (turns > most)
        throw new AuditError(`nothing starves; after ${most} steps, load ${JSON.stringify(this.#scheduler.load)}`);
      this.#turn();
    }
  }

  #turn(): void {
    const { maxPlansInFlight = 1, random } = this.#options;
    const idle = this.#scheduler.idle && this.#flights.length > 0;
    if (this.#flights.length < maxPlansInFlight && !idle) {
      this.#flights.push(this.#scheduler.step());
      this.#steps++;
      if (this.#flights.length < maxPlansInFlight && random() < 0.5) return;
    }
    const plan = this.#flights.shift()!;
    const events = this.#scheduler.commit(
      plan,
      plan.sequences.map((entry) => this.#answer(entry)),
    );
    for (const event of events) this.#tell(event);
  }

  #answer({ request, yields, drafts }: StepPlan['sequences'][number]): SequenceResult | undefined {
    const { random } = this.#options;
    if (random() < 0.002) return { tokens: [], finish: 'error', error: new Error('drawn') };
    if (!yields) return undefined;
    if (request.maxTokens === 0) return { tokens: [] };
    const generated = this.#generated.get(request.id) ?? 0;
    const stopAt = this.#stopAt.get(request.id) ?? request.maxTokens;
    const count = Math.min(1 + this.#upTo(drafts + 1), Math.max(1, stopAt - generated));
    const tokens = Array.from({ length: count }, (_, i) => tokenAt(request, generated + i));
    if (generated + count >= stopAt) return { tokens, finish: 'stop' };
    return random() < 0.3 ? { tokens, drafts: this.#upTo(5) } : { tokens };
  }

  #tell(event: SchedulerEvent): void {
    if (event.type === 'token') {
      const { id, request, index, token } = event;
      const right = token === tokenAt(request, index) && index === this.#generated.get(id);
      if (!right) throw new AuditError(`'${id}' gets its tokens in order; got ${token} at ${index}`);
      this.#generated.set(id, index + 1);
    } else if (event.type === 'preempted') this.#preemptions++;
    else if (event.type === 'finished') {
      this.#finished++;
      const { id, reason, newTokens } = event;
      const due = Math.min(this.#stopAt.get(id) ?? event.request.maxTokens, event.request.maxTokens);
      const whole = reason === 'stop' || reason === 'length';
      if (whole && newTokens !== due) throw new AuditError(`'${id}' ends after ${due} tokens; got ${newTokens}`);
      this.#generated.delete(id);
      this.#stopAt.delete(id);
    }
  }

  #add(): void {
    const { random, maxPromptTokens, maxNewTokens } = this.#options;
    const id = `r${this.#adds++}`;
    const maxTokens = this.#upTo(maxNewTokens + 1);
    const parent = random() < 0.2 ? this.#any() : undefined;
    const request: SequenceRequest = {
      id,
      promptTokens: 1 + this.#upTo(maxPromptTokens),
      maxTokens,
      priority: this.#upTo(3),
      tenant: `t${this.#upTo(3)}`,
      ...(random() < 0.05 && { deadlineMs: 1 + random() * 200 }),
      ...(random() < 0.3 && { expectedTokens: this.#upTo(maxNewTokens + 1) }),
      ...(random() < 0.2 && { serial: true }),
      ...(parent !== undefined && { parent }),
    };
    if (!this.#scheduler.add(request).accepted) return;
    this.#accepted++;
    this.#generated.set(id, 0);
    if (maxTokens > 0 && random() < 0.5) this.#stopAt.set(id, 1 + this.#upTo(maxTokens));
  }

  #discard(): void {
    const plan = this.#flights[this.#upTo(this.#flights.length)];
    if (!plan) return;
    this.#scheduler.discard(plan);
    this.#flights.splice(this.#flights.indexOf(plan));
  }

  /** A request that lives, or once did. */
  #any(): string {
    return `r${this.#upTo(this.#adds + 1)}`;
  }

  #upTo(count: number): number {
    return Math.floor(this.#options.random() * count);
  }
}
