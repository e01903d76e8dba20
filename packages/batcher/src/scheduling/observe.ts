import { aFunction, checkArgument, having, object, optional } from '../checks.ts';
import type { Admission, Scheduler, SchedulerEvent, SchedulerLoad, SequenceRequest, StepPlan } from './scheduler.ts';

/** Someone who is told what a scheduler does, and changes nothing. */
export interface SchedulerObserver<R extends SequenceRequest = SequenceRequest> {
  /** A request was taken or refused. */
  added?(request: R, admission: Admission, load: SchedulerLoad): void;
  /** A step was planned. */
  planned?(plan: StepPlan<R>, load: SchedulerLoad): void;
  /** A step has its results. */
  committed?(plan: StepPlan<R>, events: readonly SchedulerEvent<R>[], load: SchedulerLoad): void;
  /** A step was taken back. */
  discarded?(plan: StepPlan<R>): void;
}

/**
 * The same scheduler, with observers told of every call after it was made.
 *
 * @throws BatcherError ERR_ARGUMENT
 */
export function observed<R extends SequenceRequest>(
  scheduler: Scheduler<R>,
  ...observers: readonly SchedulerObserver<R>[]
): Scheduler<R> {
  checkArgument('observed', 'scheduler', scheduler, having('add', 'step', 'commit', 'discard'));
  for (const observer of observers) {
    checkArgument('observed', 'an observer', observer, object);
    const { added, planned, committed, discarded } = observer;
    for (const [name, method] of Object.entries({ added, planned, committed, discarded }))
      checkArgument('observed', `${name} of an observer`, method, optional(aFunction));
  }
  return {
    add(request) {
      const admission = scheduler.add(request);
      for (const observer of observers) observer.added?.(request, admission, scheduler.load);
      return admission;
    },
    step() {
      const plan = scheduler.step();
      for (const observer of observers) observer.planned?.(plan, scheduler.load);
      return plan;
    },
    commit(plan, results) {
      const events = scheduler.commit(plan, results);
      for (const observer of observers) observer.committed?.(plan, events, scheduler.load);
      return events;
    },
    discard(plan) {
      scheduler.discard(plan);
      for (const observer of observers) observer.discarded?.(plan);
    },
    abort: (id) => scheduler.abort(id),
    pause: (id) => scheduler.pause(id),
    resume: (id) => scheduler.resume(id),
    get idle() {
      return scheduler.idle;
    },
    get load() {
      return scheduler.load;
    },
  };
}
