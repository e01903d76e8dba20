import { aFunction, signal as aSignal, checkOptions, object, optional } from '../checks.ts';
import { checkLevel, LoadRecorder, type LoadReport, type ServiceLevel } from './report.ts';
import { type Arrivals, arrivalsRule, type LoadRequest, requestsRule } from './workload.ts';

/** What `runLoad` sends, and to whom. */
export interface RunLoadOptions {
  readonly requests: readonly LoadRequest[];
  readonly arrivals: Arrivals;
  /**
   * Sends a request. What it iterates are arrivals of tokens: a number (or string) for one token, an array for several at
   * once. A request fails if it throws.
   */
  readonly send: (request: LoadRequest, signal: AbortSignal) => AsyncIterable<number | string | readonly unknown[]>;
  readonly serviceLevel?: ServiceLevel;
  /** Ends the load early: what is under way is aborted and counted as failed. */
  readonly signal?: AbortSignal;
  /** Time in ms. Default `performance.now`. */
  readonly clock?: () => number;
}

/** Sends a load in real time and measures what comes back. Rejects with BatcherError ERR_ARGUMENT. */
export async function runLoad(options: RunLoadOptions): Promise<LoadReport> {
  checkOptions<RunLoadOptions>('runLoad', options, {
    requests: requestsRule,
    arrivals: arrivalsRule,
    send: aFunction,
    serviceLevel: optional(object),
    signal: optional(aSignal),
    clock: optional(aFunction),
  });
  const { requests, arrivals, send, clock = () => performance.now() } = options;
  const signal = options.signal ?? new AbortController().signal;
  checkLevel('runLoad', options.serviceLevel);
  const recorder = new LoadRecorder(options.serviceLevel);
  // A signal for each request, for thousands of listeners on one are taken for a leak.
  const underWay = new Set<AbortController>();
  const abortAll = () => {
    for (const controller of underWay) controller.abort(signal.reason);
  };

  const one = async (request: LoadRequest): Promise<void> => {
    const { id } = request;
    const controller = new AbortController();
    underWay.add(controller);
    recorder.sent(id, request.promptTokens, clock());
    try {
      for await (const tokens of send(request, controller.signal)) {
        recorder.tokens(id, Array.isArray(tokens) ? tokens.length : 1, clock());
      }
      recorder.completed(id, clock());
    } catch {
      // Counted, not thrown: how many fail is one of the things that a load measures.
      recorder.failed(id, clock());
    } finally {
      underWay.delete(controller);
    }
  };

  signal.addEventListener('abort', abortAll);
  if (arrivals.kind === 'closed') {
    const left = requests[Symbol.iterator]();
    const caller = async () => {
      for (const request of left) {
        if (signal.aborted) return;
        await one(request);
      }
    };
    await Promise.all(Array.from({ length: arrivals.concurrency }, caller));
  } else {
    const start = clock();
    const sent: Promise<void>[] = [];
    for (const request of requests) {
      await until(start + request.atMs, clock, signal);
      if (signal.aborted) break;
      sent.push(one(request));
    }
    await Promise.all(sent);
  }
  signal.removeEventListener('abort', abortAll);
  return recorder.report();
}

function until(time: number, clock: () => number, signal: AbortSignal): Promise<void> | undefined {
  const ms = time - clock();
  if (ms <= 0 || signal.aborted) return undefined;
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
  });
}
