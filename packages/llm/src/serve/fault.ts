import { isBatcherError, RejectedError } from '@heddle/batcher';
import { isHeddleError } from '@heddle/tensor';

/** Why a request is refused or has failed, as clients are told: data that can cross to another process. */
export interface Fault {
  readonly status: 400 | 401 | 403 | 404 | 405 | 408 | 409 | 413 | 415 | 429 | 500 | 503 | 504;
  /** One sentence, without secrets. */
  readonly message: string;
  /** The field that is wrong, as `messages.0.content`. */
  readonly param?: string;
  readonly code?: string;
  readonly retryAfterSeconds?: number;
}

/** A fault that is thrown. */
export class FaultError extends Error {
  readonly fault: Fault;
  constructor(fault: Fault, options: { readonly cause?: unknown } = {}) {
    super(fault.message, options);
    this.name = 'FaultError';
    this.fault = fault;
  }
}

export function refuse(status: Fault['status'], message: string, more: Omit<Fault, 'status' | 'message'> = {}): never {
  throw new FaultError({ status, message, ...more });
}

const wrongRequests = ['ERR_ARGUMENT', 'ERR_GRAMMAR', 'ERR_GRAMMAR_LIMIT', 'ERR_CHAT_MESSAGES', 'ERR_CHAT_TEMPLATE'];

/** What a client is told of an error: what is wrong with its request, or that the server failed, without a word on how. */
export function faultOf(error: unknown): Fault {
  if (error instanceof FaultError) return error.fault;
  if (isBatcherError(error)) {
    if (error.code === 'ERR_QUEUE_FULL') {
      const wait = error instanceof RejectedError ? (error.retryAfterMs ?? 1000) : 1000;
      return tooMany(Math.max(1, Math.ceil(wait / 1000)));
    }
    if (error.code === 'ERR_TOO_LARGE' || error.code === 'ERR_ARGUMENT') return wrong(error.message, error.code);
    if (error.code === 'ERR_DEADLINE')
      return { status: 504, message: 'The request took longer than it may.', code: 'timeout' };
    if (error.code === 'ERR_CLOSED') return stopping;
  }
  if (isHeddleError(error)) {
    if (wrongRequests.some((code) => error.code.startsWith(code))) return wrong(error.message, error.code);
    if (error.code === 'ERR_TOKENIZER') return wrong(error.message, error.code);
    if (error.code === 'ERR_DISPOSED') return stopping;
    if (error.code === 'ERR_DEVICE_LOST' || error.code === 'ERR_OUT_OF_MEMORY')
      return {
        status: 503,
        message: 'The device of this model cannot answer now.',
        code: 'device_unavailable',
        retryAfterSeconds: 5,
      };
  }
  return { status: 500, message: 'The server failed to answer this request.', code: 'internal_error' };
}

export const stopping: Fault = {
  status: 503,
  message: 'The server is stopping.',
  code: 'stopping',
  retryAfterSeconds: 5,
};

export function tooMany(retryAfterSeconds: number): Fault {
  return {
    status: 429,
    message: 'Too many requests are waiting; try again later.',
    code: 'rate_limit_exceeded',
    retryAfterSeconds,
  };
}

/** Messages of the library name the function that refused first: clients called another. */
function wrong(message: string, code: string): Fault {
  return {
    status: 400,
    message: message.replace(/^(generateText|streamText|generate|chat|applyChatTemplate|embed|rank|add): /, ''),
    code: code.toLowerCase(),
  };
}
