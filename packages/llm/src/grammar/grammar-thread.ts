import { GrammarError, grammarLimit } from './errors.ts';
import type { WorkerAnswer, WorkerRequest } from './worker-messages.ts';

/** Limits of one worker. */
export interface ThreadLimits {
  /** The longest that one request may take. */
  readonly milliseconds: number;
  /** Memory of its heap, in MiB; kept in Node. */
  readonly heapMiB: number;
  /** Its module; by default that of this package. */
  readonly worker?: URL;
}

const STARTING = 60_000;

/** What it takes of a worker, in Node and in browsers. */
interface Channel {
  post(message: WorkerRequest): void;
  end(): void;
}
interface Listener {
  answer(message: WorkerAnswer): void;
  failed(error: unknown): void;
}

interface Waiting {
  readonly request: WorkerRequest;
  resolve(answer: WorkerAnswer): void;
  reject(error: unknown): void;
}

/**
 * A worker that does one request after the other, each within a time. One that takes longer, or more memory, ends it: that
 * request and those that wait are refused, and the worker must be replaced.
 */
export class GrammarThread {
  readonly #limits: ThreadLimits;
  readonly #channel: Promise<Channel>;
  readonly #waiting: Waiting[] = [];
  #running: Waiting | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #ended: unknown;

  constructor(limits: ThreadLimits) {
    this.#limits = limits;
    this.#channel = openChannel(limits, {
      answer: (answer) => this.#finish((waiting) => waiting.resolve(answer)),
      failed: (error) => this.#fail(memoryError(error, limits)),
    });
    this.#channel.catch((error) => this.#fail(error));
  }

  /** Why it takes no more requests; undefined while it does. */
  get ended(): unknown {
    return this.#ended;
  }

  /** @throws GrammarError `ERR_GRAMMAR_LIMIT` for the request that took too long or too much, and what ended it for others */
  ask(request: WorkerRequest): Promise<WorkerAnswer> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) return reject(this.#ended);
      this.#waiting.push({ request, resolve, reject });
      void this.#next();
    });
  }

  end(reason: unknown): void {
    this.#fail(reason);
  }

  async #next(): Promise<void> {
    if (this.#running || this.#waiting.length === 0) return;
    this.#running = this.#waiting.shift()!;
    const channel = await this.#channel.catch(() => undefined);
    if (!channel || this.#ended !== undefined || !this.#running) return;
    // the first request waits for the worker to start
    const milliseconds = Math.max(
      this.#limits.milliseconds,
      this.#running.request.kind === 'vocabulary' ? STARTING : 0,
    );
    channel.post(this.#running.request);
    const judge = () => {
      const guilty = this.#running;
      this.#running = undefined;
      guilty?.reject(grammarLimit(`grammar: takes at most ${milliseconds} ms, got more`));
      this.#fail(new ThreadEnded());
    };
    // where this thread was busy for that long the answer may be there already, and is heard before the second timer
    this.#timer = setTimeout(() => {
      this.#timer = setTimeout(judge, 1);
    }, milliseconds);
  }

  #finish(settle: (waiting: Waiting) => void): void {
    clearTimeout(this.#timer);
    const running = this.#running;
    this.#running = undefined;
    if (running) settle(running);
    void this.#next();
  }

  #fail(reason: unknown): void {
    if (this.#ended !== undefined) return;
    this.#ended = reason;
    clearTimeout(this.#timer);
    const guilty = this.#running;
    this.#running = undefined;
    guilty?.reject(reason);
    for (const { reject } of this.#waiting.splice(0))
      reject(reason instanceof ThreadEnded ? reason : new ThreadEnded(reason));
    void this.#channel.then((channel) => channel.end()).catch(() => {});
  }
}

/** The worker ended through no fault of this request: it may be asked again, of another worker. */
export class ThreadEnded extends Error {
  constructor(cause?: unknown) {
    super('the worker of a grammar ended', { cause });
  }
}

function memoryError(error: unknown, { heapMiB }: ThreadLimits): unknown {
  const code = (error as { readonly code?: unknown } | undefined)?.code;
  if (code === 'ERR_WORKER_OUT_OF_MEMORY') return grammarLimit(`grammar: takes at most ${heapMiB} MiB, got more`);
  return new GrammarError(`grammar: its worker failed: ${error instanceof Error ? error.message : String(error)}`, {
    cause: error,
  });
}

/** Starts a worker. */
async function openChannel({ heapMiB, worker }: ThreadLimits, listener: Listener): Promise<Channel> {
  const { url, options } = worker ? { url: worker, options: {} } : workerModule();
  if (typeof process === 'object' && process.versions?.node !== undefined) {
    // asked of the process: bundlers for browsers have no such module
    const { Worker: NodeWorker } = process.getBuiltinModule('node:worker_threads');
    const thread = new NodeWorker(url, { ...options, resourceLimits: { maxOldGenerationSizeMb: heapMiB } });
    thread.on('message', (message) => {
      thread.unref(); // a worker with nothing to do keeps no process
      listener.answer(message as WorkerAnswer);
    });
    thread.on('error', (error) => listener.failed(error));
    thread.unref();
    const post = (message: WorkerRequest) => {
      thread.ref();
      thread.postMessage(message);
    };
    return { post, end: () => void thread.terminate() };
  }
  const thread = new Worker(url, { type: 'module' });
  thread.addEventListener('message', ({ data }) => listener.answer(data as WorkerAnswer));
  thread.addEventListener('error', (event) => listener.failed(event.error ?? new Error(event.message)));
  return { post: (message) => thread.postMessage(message), end: () => thread.terminate() };
}

/** Node takes no TypeScript: where this file is a source, the worker is what was built of it, without the loader of sources. */
function workerModule(): { readonly url: URL; readonly options: { readonly execArgv?: string[] } } {
  if (import.meta.url.endsWith('.ts'))
    return { url: new URL('../../dist/grammar/grammar-worker.js', import.meta.url), options: { execArgv: [] } };
  return { url: new URL('./grammar-worker.js', import.meta.url), options: {} };
}
