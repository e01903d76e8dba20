import { checkArgument, count, having, object, optional } from '../checks.ts';
import type { Scheduler, SchedulerEvent, SequenceRequest, SequenceResult, StepPlan } from '../scheduling/scheduler.ts';
import { must } from './audit-error.ts';

/** What the audited scheduler was made with. */
export interface AuditLimits {
  readonly maxBatchTokens: number;
  readonly maxSequences: number;
  readonly maxPlansInFlight?: number;
}

/** The independent account of one request. */
interface Account {
  readonly request: SequenceRequest;
  state: 'waiting' | 'running' | 'ended';
  /** Known tokens of the stream. */
  length: number;
  /** Known tokens and computed ones, plans in flight included; computed is -1 before the first plan. */
  plannedLength: number;
  plannedComputed: number;
  /** Where entries started that were planned since the last commit. */
  readonly starts: number[];
  /** Whether one of them did not start where the one before ended: it must have been admitted. */
  restarted: boolean;
  drafts: number;
  paused: boolean;
  inFlight: number;
  /** Whether the latest plan in flight yields its next token. */
  yielding: boolean;
  /** Tokens that results gave and events have still to tell. */
  readonly untold: number[];
  told: number;
  firstTold: boolean;
  /** How it must end once `untold` is told. */
  ending: 'stop' | 'length' | 'error' | 'aborted' | undefined;
}

/**
 * The same scheduler, with every call checked against an account of its own: no token lost, doubled or reordered, nothing
 * computed twice without a preemption, no step over the budget or the slots, no paused sequence computed, every event in
 * its place. For tests of schedulers and of engines that use them.
 *
 * @throws BatcherError ERR_ARGUMENT; its calls AuditError naming the rule that was broken
 */
export function auditedScheduler<R extends SequenceRequest>(
  scheduler: Scheduler<R>,
  limits: AuditLimits,
): Scheduler<R> {
  checkArgument('auditedScheduler', 'scheduler', scheduler, having('add', 'step', 'commit', 'discard'));
  checkArgument('auditedScheduler', 'limits', limits, object);
  for (const name of ['maxBatchTokens', 'maxSequences'] as const)
    checkArgument('auditedScheduler', `limits.${name}`, limits[name], count(1));
  checkArgument('auditedScheduler', 'limits.maxPlansInFlight', limits.maxPlansInFlight, optional(count(1)));
  const accounts = new Map<string, Account>();
  const flights: StepPlan<R>[] = [];
  const running = () => [...accounts.values()].filter(({ state, inFlight }) => state === 'running' || inFlight > 0);

  const settleEvents = (events: readonly SchedulerEvent<R>[]): void => {
    for (const event of events) {
      const account = accounts.get(event.id);
      must(account?.request === event.request, 'an event belongs to a living request', event);
      if (account) settleEvent(account, event);
      if (account?.state === 'ended' && account.inFlight === 0) accounts.delete(event.id);
    }
  };

  return {
    add(request) {
      const admission = scheduler.add(request);
      if (admission.accepted) {
        const before = accounts.get(request.id);
        must(before === undefined || before.ending === 'aborted', 'the id of a living request is refused', request.id);
        accounts.set(request.id, open(request));
      }
      return admission;
    },
    step() {
      const plan = scheduler.step();
      const most = limits.maxPlansInFlight ?? 1;
      flights.push(plan);
      must(flights.length <= most, `at most ${most} plans are in flight`, flights.length);
      const tokens = plan.sequences.reduce((sum, { start, end }) => sum + end - start, 0);
      must(tokens === plan.tokens, 'plan.tokens is the sum of end - start', { tokens, plan: plan.tokens });
      must(tokens <= limits.maxBatchTokens, `a step has at most ${limits.maxBatchTokens} tokens`, tokens);
      must(
        new Set(plan.sequences.map(({ id }) => id)).size === plan.sequences.length,
        'a plan has a sequence once',
        plan,
      );
      for (const entry of plan.sequences) {
        const account = accounts.get(entry.id);
        must(account !== undefined && account.request === entry.request, 'only living requests are planned', entry);
        if (account) planEntry(account, entry);
      }
      return plan;
    },
    commit(plan, results) {
      const events = scheduler.commit(plan, results);
      must(flights[0] === plan, 'the oldest plan is committed first', plan.step);
      flights.shift();
      for (let i = 0; i < plan.sequences.length; i++) takeResult(accounts, plan.sequences[i]!, results[i]);
      settleEvents(events);
      for (const [id, account] of accounts)
        if (account.state === 'ended' && account.inFlight === 0) accounts.delete(id);
      for (const { request, untold, ending, restarted, starts } of accounts.values()) {
        starts.length = 0;
        must(!restarted, 'a sequence goes on where its last plan ended, unless it is admitted', request.id);
        must(untold.length === 0, 'every token is told by the commit that gave it', { id: request.id, untold });
        must(ending === undefined, 'a sequence that has ended is told of by that commit', { id: request.id, ending });
      }
      must(running().length <= limits.maxSequences, `at most ${limits.maxSequences} sequences run`, running().length);
      must(
        accounts.size > 0 || flights.length > 0 || scheduler.idle,
        'a scheduler without requests is idle',
        scheduler.load,
      );
      return events;
    },
    discard(plan) {
      scheduler.discard(plan);
      for (const lost of flights.splice(flights.indexOf(plan)).reverse()) {
        for (const entry of lost.sequences) {
          const account = accounts.get(entry.id)!;
          account.inFlight--;
          account.yielding = false;
          account.plannedComputed = entry.start;
          if (entry.yields && account.request.maxTokens > 0) account.plannedLength--;
          if (entry.drafts > 0) account.drafts = entry.drafts;
        }
      }
    },
    abort(id) {
      const aborted = scheduler.abort(id);
      const account = accounts.get(id);
      const known = account !== undefined && account.state !== 'ended' && account.ending === undefined;
      // A deadline that a step found may not have been told of yet.
      const expired = !aborted && account?.request.deadlineMs !== undefined;
      must(aborted === known || expired, 'abort says whether it ended a living request', { id, aborted });
      if (aborted && account) account.ending = 'aborted';
      return aborted;
    },
    pause(id) {
      const account = accounts.get(id);
      const paused = scheduler.pause(id);
      if (paused && account) account.paused = true;
      return paused;
    },
    resume(id) {
      const account = accounts.get(id);
      const resumed = scheduler.resume(id);
      if (resumed && account) account.paused = false;
      return resumed;
    },
    get idle() {
      return scheduler.idle;
    },
    get load() {
      return scheduler.load;
    },
  };
}

function open(request: SequenceRequest): Account {
  const { promptTokens: length } = request;
  return {
    request,
    state: 'waiting',
    length,
    plannedLength: length,
    plannedComputed: -1,
    starts: [],
    restarted: false,
    drafts: 0,
    paused: false,
    inFlight: 0,
    yielding: false,
    untold: [],
    told: 0,
    firstTold: false,
    ending: undefined,
  };
}

/** Checks one entry of a plan. */
function planEntry(account: Account, entry: StepPlan['sequences'][number]): void {
  const { start, end, drafts, yields } = entry;
  const { request, plannedLength } = account;
  must(account.ending === undefined && account.state !== 'ended', 'no ended sequence is planned', entry);
  must(!account.paused, 'no paused sequence is planned', entry);
  must(!(request.serial && account.yielding), 'no serial sequence is planned while its token is in flight', entry);
  must(start >= 0 && start < end, 'an entry computes at least one token', entry);
  // One that is admitted starts wherever the cache lets it; its events come with the next commit.
  const restarts = start !== account.plannedComputed;
  must(!restarts || account.inFlight === 0, 'nothing restarts that is in flight', { entry, account });
  if (restarts) account.restarted = true;
  account.starts.push(start);
  must(start < plannedLength, 'an entry starts at a known token', { entry, account });
  must(end - drafts <= plannedLength, 'an entry ends at the last known token, or before', { entry, account });
  must(yields === (end - drafts === plannedLength), 'an entry yields if it computes the last known token', entry);
  must(drafts <= account.drafts && (drafts === 0 || yields), 'an entry has at most the drafts offered', entry);
  const room = request.promptTokens + Math.max(1, request.maxTokens) - 1;
  must(end <= room, `'${request.id}' never needs more than ${room} tokens`, entry);
  account.inFlight++;
  account.yielding = yields;
  account.plannedComputed = end - drafts;
  if (yields && request.maxTokens > 0) account.plannedLength++;
  account.drafts = 0;
}

function takeResult(
  accounts: ReadonlyMap<string, Account>,
  entry: StepPlan['sequences'][number],
  result: SequenceResult | undefined,
): void {
  const account = accounts.get(entry.id)!;
  account.inFlight--;
  if (account.inFlight === 0) account.yielding = false;
  if (account.ending !== undefined || account.state === 'ended') return;
  const { request } = account;
  const tokens = entry.yields && request.maxTokens > 0 ? (result?.tokens ?? []) : [];
  const accepted = Math.max(0, tokens.length - 1);
  account.length += tokens.length;
  account.plannedLength += accepted;
  account.plannedComputed += accepted;
  account.untold.push(...tokens);
  account.drafts = result?.drafts ?? 0;
  const generated = account.length - request.promptTokens;
  const complete = entry.yields && generated >= request.maxTokens ? 'length' : undefined;
  account.ending = result?.finish ?? complete;
}

function settleEvent(account: Account, event: SchedulerEvent): void {
  must(account.state !== 'ended', 'nothing is told of a request after its end', event);
  const { request } = account;
  if (event.type === 'admitted') {
    must(account.state === 'waiting', 'only a waiting request is admitted', event);
    must(account.starts.includes(event.cachedTokens), 'an admitted sequence starts after what was cached', event);
    account.state = 'running';
    account.restarted = false;
  } else if (event.type === 'preempted') {
    must(account.state === 'running', 'only a running request is preempted', event);
    account.state = 'waiting';
  } else if (event.type === 'firstToken') {
    must(!account.firstTold && account.told === 0, 'the first token is told of once, before it', event);
    account.firstTold = true;
  } else if (event.type === 'token') {
    must(account.state === 'running', 'only a running request gets tokens', event);
    must(account.firstTold, 'the first token is announced', event);
    must(event.index === account.told, `the next token of '${request.id}' has index ${account.told}`, event);
    must(event.token === account.untold.shift(), `'${request.id}' gets its tokens as results gave them`, event);
    account.told++;
  } else {
    const { ending } = account;
    const due =
      event.reason === 'deadline'
        ? request.deadlineMs !== undefined
        : event.reason === 'error' || ending === event.reason;
    must(due, 'a request ends for the reason that it has', { event, ending });
    // A deadline may come while a plan is in flight, whose results then count no more.
    if (event.reason === 'deadline') account.untold.length = 0;
    must(account.untold.length === 0, 'a request ends after its last token', event);
    must(event.newTokens === account.told, `'${request.id}' generated ${account.told} tokens`, event);
    account.state = 'ended';
    account.ending = undefined;
  }
}
