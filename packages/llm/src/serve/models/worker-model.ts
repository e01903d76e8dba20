import { type ChildProcess, fork } from 'node:child_process';
import { checkArguments, HeddleError } from '@heddle/tensor';
import { type Fault, FaultError, stopping } from '../fault.ts';
import type {
  Embedded,
  EmbedRequest,
  ModelKind,
  Ranked,
  RankRequest,
  ServedModel,
  ServedPart,
  ServedRequest,
  ServedStats,
  ServedText,
} from './served-model.ts';
import type { FromWorker, ToWorker, WorkerEvents, WorkerModelOptions, WorkerStart } from './worker-messages.ts';
import { workerModule } from './worker-module.ts';

/** A model that computes in a process of its own. */
export interface WorkerModel extends ServedModel, AsyncDisposable {
  /** What its files ask for and it does not do, when it has been opened. */
  readonly notes: readonly string[];
  /** Resolves when it can answer. @throws what opening it threw; then it is not tried again */
  readonly opened: Promise<void>;
  /** What it takes of its device, in bytes, when it has been opened. */
  readonly memoryBytes: number;
  /** How many times its process was started again. */
  readonly restarts: number;
  /** Ends the process at once, as a crash does; another takes its place. */
  kill(): Promise<void>;
  /** Ends the process and what is under way. Idempotent. */
  dispose(): Promise<void>;
}

const dead: Fault = {
  status: 503,
  message: 'The model ended in the middle of this request and is starting again.',
  code: 'model_restarting',
  retryAfterSeconds: 5,
};
const restartMs = 1000;

/**
 * Opens a model in a process of its own, so that computing takes no time of the thread that answers requests, and no crash of a driver
 * or a library ends the server. One that dies fails what it had to do with 503, and another takes its place. Node only. Owned by the caller, who disposes of it.
 * @param source what `openTextModel` takes: a folder, a GGUF file, `owner/name`
 */
export function workerModel(id: string, source: string, options: WorkerModelOptions & WorkerEvents = {}): WorkerModel {
  checkArguments('workerModel', 'text', { id, source });
  checkArguments('workerModel', 'object', { options });
  return new ProcessModel(id, source, options);
}

/** What waits for an answer of the worker. */
interface Waiting {
  answer(message: Exclude<FromWorker, { kind: 'ready' | 'failed' | 'note' | 'parts' }>): void;
  /** Parts of what it generates. */
  parts?(parts: readonly ServedPart[]): void;
  fail(error: unknown): void;
}

class ProcessModel implements WorkerModel {
  readonly id: string;
  readonly opened: Promise<void>;
  notes: readonly string[] = [];
  maxSequenceTokens = 0;
  memoryBytes = 0;
  restarts = 0;
  readonly #start: WorkerStart;
  readonly #events: WorkerEvents;
  readonly #waiting = new Map<number, Waiting>();
  #worker: ChildProcess | undefined;
  #ready = false;
  #wasReady = false;
  #calls = 0;
  #disposal: Promise<void> | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #settle: { resolve(): void; reject(error: unknown): void } | undefined;

  constructor(
    id: string,
    source: string,
    { onRestart, onNote, worker, ...options }: WorkerModelOptions & WorkerEvents,
  ) {
    this.id = id;
    this.#start = { source, options };
    this.#events = { ...(onRestart && { onRestart }), ...(onNote && { onNote }), ...(worker && { worker }) };
    this.opened = new Promise<void>((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.opened.catch(() => {}); // who waits for it hears of it
    this.#open();
  }

  get kind(): ModelKind {
    return this.#start.options.kind ?? 'text';
  }

  get ready(): boolean {
    return this.#ready;
  }

  async *generate(request: ServedRequest, signal: AbortSignal): AsyncGenerator<ServedPart, undefined> {
    signal.throwIfAborted();
    const queue: ServedPart[] = [];
    let over = false;
    let failure: { readonly error: unknown } | undefined;
    let wake = () => {};
    const id = this.#ask((own) => ({ kind: 'generate', id: own, request }), {
      parts: (parts) => {
        queue.push(...parts);
        wake();
      },
      answer: (message) => {
        this.#done(id);
        if (message.kind === 'fault') failure = { error: faultError(message) };
        over = true;
        wake();
      },
      fail: (error) => {
        failure = { error };
        over = true;
        wake();
      },
    });
    // at once, also while nobody asks for the next part
    const abort = () => {
      this.#abort(id);
      failure ??= { error: signal.reason };
      queue.length = 0;
      over = true;
      wake();
    };
    signal.addEventListener('abort', abort, { once: true });
    try {
      for (;;) {
        while (queue.length > 0) yield queue.shift()!;
        if (over) break;
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      if (failure) throw failure.error;
      return undefined;
    } finally {
      signal.removeEventListener('abort', abort);
      this.#abort(id);
    }
  }

  tokens(of: ServedText): Promise<readonly number[]> {
    return this.#value((id) => ({ kind: 'tokens', id, of }));
  }
  text(tokens: readonly number[]): Promise<string> {
    return this.#value((id) => ({ kind: 'text', id, tokens }));
  }
  stats(): Promise<ServedStats> {
    return this.#value((id) => ({ kind: 'stats', id }));
  }

  embed(request: EmbedRequest, signal: AbortSignal): Promise<Embedded> {
    return this.#value((id) => ({ kind: 'embed', id, request }), signal);
  }
  rank(request: RankRequest, signal: AbortSignal): Promise<Ranked> {
    return this.#value((id) => ({ kind: 'rank', id, request }), signal);
  }

  async kill(): Promise<void> {
    const worker = this.#worker;
    if (!worker) return;
    const exited = exitOf(worker);
    worker.kill('SIGKILL');
    await exited;
  }

  dispose(): Promise<void> {
    this.#disposal ??= this.#end();
    return this.#disposal;
  }
  [Symbol.asyncDispose](): Promise<void> {
    return this.dispose();
  }

  async #end(): Promise<void> {
    clearTimeout(this.#timer);
    this.#ready = false;
    this.#failAll(new FaultError(stopping));
    const worker = this.#worker;
    if (!worker) return;
    const exited = exitOf(worker);
    worker.send({ kind: 'stop' } satisfies ToWorker);
    const timer = setTimeout(
      () => void worker.kill('SIGKILL'),
      this.#start.options.cacheFolder === undefined ? 10_000 : 60_000,
    );
    await exited;
    clearTimeout(timer);
  }

  #open(): void {
    const { url, options } = workerModule(this.#events.worker);
    const worker = fork(url, { ...options, serialization: 'advanced' });
    this.#worker = worker;
    let failure: unknown;
    worker.on('message', (message: FromWorker) => {
      if (message.kind === 'failed')
        failure = message.code === undefined ? message.error : new HeddleError(message.code, message.message);
      else if (message.kind === 'note') this.#events.onNote?.(message.note);
      else this.#receive(message);
    });
    worker.on('error', (error) => {
      failure ??= error;
      // one that could not be started has no exit
      if (worker.pid === undefined) this.#exited(worker, failure);
    });
    worker.on('exit', (code, signal) =>
      this.#exited(worker, failure ?? new Error(`the worker ended with ${signal ?? `code ${code}`}`)),
    );
    worker.send(this.#start);
  }

  #receive(message: Exclude<FromWorker, { kind: 'failed' | 'note' }>): void {
    if (message.kind === 'parts') {
      for (const [id, parts] of message.of) this.#waiting.get(id)?.parts?.(parts);
      return;
    }
    if (message.kind !== 'ready') {
      this.#waiting.get(message.id)?.answer(message);
      return;
    }
    ({ maxSequenceTokens: this.maxSequenceTokens, notes: this.notes, memoryBytes: this.memoryBytes } = message);
    this.#ready = true;
    this.#wasReady = true;
    this.#settle?.resolve();
  }

  #exited(worker: ChildProcess, error: unknown): void {
    if (this.#worker !== worker) return;
    this.#worker = undefined;
    this.#ready = false;
    this.#failAll(new FaultError(dead, { cause: error }));
    if (this.#disposal) return;
    // a model that never opened would not open the next time either
    if (!this.#wasReady) {
      this.#settle?.reject(error);
      return;
    }
    this.restarts++;
    this.#events.onRestart?.(error);
    this.#timer = setTimeout(() => this.#open(), restartMs);
  }

  #failAll(error: unknown): void {
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const each of waiting) each.fail(error);
  }

  #value<T>(make: (id: number) => ToWorker, signal?: AbortSignal): Promise<T> {
    let leave = () => {};
    return new Promise<T>((resolve, reject) => {
      signal?.throwIfAborted();
      const id = this.#ask(make, {
        answer: (message) => {
          this.#done(id);
          if (message.kind === 'value') resolve(message.value as T);
          else if (message.kind === 'fault') reject(faultError(message));
        },
        fail: reject,
      });
      const abort = () => {
        this.#abort(id);
        reject(signal!.reason);
      };
      signal?.addEventListener('abort', abort, { once: true });
      leave = () => signal?.removeEventListener('abort', abort);
    }).finally(() => leave());
  }

  /** Ends what nobody waits for any more. */
  #abort(id: number): void {
    if (this.#waiting.delete(id)) this.#worker?.send({ kind: 'abort', id } satisfies ToWorker);
  }

  #ask(make: (id: number) => ToWorker, waiting: Waiting): number {
    if (!this.#ready) throw new FaultError(this.#disposal ? stopping : dead);
    const id = this.#calls++;
    this.#waiting.set(id, waiting);
    this.#worker!.send(make(id));
    return id;
  }

  #done(id: number): void {
    this.#waiting.delete(id);
  }
}

const exitOf = (worker: ChildProcess) => new Promise<void>((resolve) => void worker.once('exit', () => resolve()));

function faultError({ fault, error }: Extract<FromWorker, { kind: 'fault' }>): FaultError {
  return new FaultError(fault, { cause: new Error(error) });
}
