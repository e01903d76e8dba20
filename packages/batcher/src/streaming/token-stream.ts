import { BatcherError } from '../errors.ts';
import type { FinishReason } from '../scheduling/scheduler.ts';

/** How a stream ended. */
export interface StreamEnd {
  readonly reason: FinishReason;
  /** Tokens generated, whether they were read or not. */
  readonly newTokens: number;
  readonly error?: unknown;
}

/**
 * The generated tokens of one request, to be iterated once. It ends after 'stop' and 'length', throws the request's error,
 * the signal's reason after an abort, ERR_DEADLINE after the deadline. Leaving the loop early aborts the request.
 */
export interface TokenStream extends AsyncIterableIterator<number> {
  /** Resolves when the request has ended, however it ended; never rejects. */
  readonly ended: Promise<StreamEnd>;
  next(): Promise<IteratorResult<number, undefined>>;
  return(): Promise<IteratorResult<number, undefined>>;
}

/** What a stream asks of its source. */
export interface StreamControls {
  /** The reader lags by the high-water mark. */
  pause(): void;
  /** The reader has caught up with half of it. */
  resume(): void;
  /** The reader left. */
  abort(): void;
}

interface Reader {
  resolve(result: IteratorResult<number, undefined>): void;
  reject(reason: unknown): void;
}

/** A token stream with its writing end. */
export class BufferedTokenStream implements TokenStream {
  readonly ended: Promise<StreamEnd>;
  readonly #id: string;
  readonly #highWaterMark: number;
  readonly #controls: StreamControls;
  #settle!: (end: StreamEnd) => void;
  #buffer: number[] = [];
  #read = 0;
  #readers: Reader[] = [];
  #received = 0;
  #paused = false;
  #left = false;
  #end: StreamEnd | undefined;
  /** Why the reader's next call is to fail. */
  #failure: { readonly reason: unknown } | undefined;

  constructor(id: string, highWaterMark: number, controls: StreamControls) {
    this.#id = id;
    this.#highWaterMark = highWaterMark;
    this.#controls = controls;
    this.ended = new Promise((resolve) => {
      this.#settle = resolve;
    });
  }

  /** Tokens that came, whether they were read or not. */
  get received(): number {
    return this.#received;
  }

  push(token: number): void {
    this.#received++;
    if (this.#left) return;
    const reader = this.#readers.shift();
    if (reader) {
      reader.resolve({ done: false, value: token });
      return;
    }
    this.#buffer.push(token);
    if (this.#paused || this.#lag < this.#highWaterMark) return;
    this.#paused = true;
    this.#controls.pause();
  }

  /** Ends the stream after what is in it. */
  end(end: StreamEnd): void {
    if (this.#end) return;
    this.#end = end;
    for (const reader of this.#readers) this.#finish(reader);
    this.#readers = [];
    this.#settle(end);
  }

  /** Ends the stream for its reader at once, and drops what was not read. */
  cut(reason: unknown): void {
    if (this.#end || this.#left) return;
    if (this.#readers.length === 0) this.#failure = { reason };
    this.#left = true;
    this.#drop();
    for (const reader of this.#readers) reader.reject(reason);
    this.#readers = [];
    this.#controls.abort();
  }

  next(): Promise<IteratorResult<number, undefined>> {
    if (this.#lag > 0) {
      const value = this.#buffer[this.#read++]!;
      if (this.#lag === 0) this.#drop();
      if (this.#paused && this.#lag <= this.#highWaterMark / 2) {
        this.#paused = false;
        this.#controls.resume();
      }
      return Promise.resolve({ done: false, value });
    }
    return new Promise((resolve, reject) => {
      const reader = { resolve, reject };
      if (this.#end || this.#left) this.#finish(reader);
      else this.#readers.push(reader);
    });
  }

  return(): Promise<IteratorResult<number, undefined>> {
    this.#drop();
    if (!this.#end && !this.#left) {
      this.#left = true;
      for (const reader of this.#readers) reader.resolve({ done: true, value: undefined });
      this.#readers = [];
      this.#controls.abort();
    }
    this.#left = true;
    return Promise.resolve({ done: true, value: undefined });
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  get #lag(): number {
    return this.#buffer.length - this.#read;
  }

  #drop(): void {
    this.#buffer = [];
    this.#read = 0;
  }

  /** Tells a reader how the stream ended; a failure is told once, then the stream is over. */
  #finish(reader: Reader): void {
    const failure = this.#failure ?? (this.#end && !this.#left ? failureOf(this.#id, this.#end) : undefined);
    this.#left = true;
    this.#failure = undefined;
    if (failure) reader.reject(failure.reason);
    else reader.resolve({ done: true, value: undefined });
  }
}

function failureOf(id: string, { reason, error, newTokens }: StreamEnd): { readonly reason: unknown } | undefined {
  if (reason === 'error') return { reason: error ?? new BatcherError('ERR_RUN', `generate: '${id}' failed`) };
  if (reason === 'deadline') {
    const message = `generate: the deadline of '${id}' came after ${newTokens} tokens`;
    return { reason: new BatcherError('ERR_DEADLINE', message) };
  }
  if (reason === 'aborted') return { reason: new BatcherError('ERR_CLOSED', `generate: '${id}' was aborted`) };
  return undefined;
}
