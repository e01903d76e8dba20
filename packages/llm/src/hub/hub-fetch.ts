import { HubError } from './hub-error.ts';
import type { HubSettings } from './hub-options.ts';
import { openTransfer, type Transfer } from './hub-transfer.ts';

/** Gets an address of the hub: an answer with status 200, 206, 404 or 416, whose body is still to be read. */
export type HubFetch = (url: URL, headers?: Readonly<Record<string, string>>) => Promise<Transfer>;

const maxRedirects = 5;
const maxRetryAfterMs = 60_000;

/**
 * Requests to one hub. The token goes to the endpoint's own origin and not along a redirect, wherever it leads; a redirect
 * from https to http is refused. What failed for want of a server (no answer, 429, 5xx) is tried again.
 */
export function hubFetch(settings: HubSettings, signal: AbortSignal | undefined): HubFetch {
  return async (url, headers = {}) => {
    for (let attempt = 1; ; attempt++) {
      const answer = await attemptTo(() => follow(settings, signal, url, headers));
      signal?.throwIfAborted();
      if (answer.transfer && !isForAnotherTime(answer.transfer.status)) return checked(settings, url, answer.transfer);
      await answer.transfer?.cancel();
      if (attempt >= settings.tries) throw unreachable(url, attempt, answer);
      await pause(Math.max(settings.retryMs * 2 ** (attempt - 1), retryAfter(answer.transfer)), signal);
    }
  };
}

interface Answer {
  readonly transfer?: Transfer;
  readonly failure?: unknown;
}

async function attemptTo(run: () => Promise<Transfer>): Promise<Answer> {
  try {
    return { transfer: await run() };
  } catch (failure) {
    if (failure instanceof HubError) throw failure;
    return { failure };
  }
}

async function follow(
  { endpoint, token, stallMs }: HubSettings,
  signal: AbortSignal | undefined,
  from: URL,
  headers: Readonly<Record<string, string>>,
): Promise<Transfer> {
  let url = from;
  for (let hop = 0; hop <= maxRedirects; hop++) {
    const isToken = token !== undefined && hop === 0 && url.origin === endpoint.origin;
    const sent = { ...headers, 'accept-encoding': 'identity', ...(isToken && { authorization: `Bearer ${token}` }) };
    const transfer = await openTransfer(url, sent, { stallMs, signal });
    const location = [301, 302, 303, 307, 308].includes(transfer.status) ? transfer.headers.get('location') : null;
    if (location === null) return transfer;
    await transfer.cancel();
    url = redirected(url, location);
  }
  throw new HubError('ERR_HUB_CONTENT', `${shown(from)} leads on more than ${maxRedirects} times`);
}

function redirected(from: URL, location: string): URL {
  const to = URL.canParse(location, from) ? new URL(location, from) : undefined;
  if (!to || (to.protocol !== 'https:' && (to.protocol !== 'http:' || from.protocol === 'https:')))
    throw new HubError('ERR_HUB_CONTENT', `${shown(from)} leads to ${location.slice(0, 100)}, which is not followed`);
  return to;
}

function isForAnotherTime(status: number): boolean {
  return status === 408 || status === 429 || status >= 500;
}

function retryAfter(transfer: Transfer | undefined): number {
  const seconds = Number(transfer?.headers.get('retry-after') ?? 0);
  return Number.isFinite(seconds) ? Math.min(1000 * Math.max(0, seconds), maxRetryAfterMs) : 0;
}

function unreachable(url: URL, attempts: number, { transfer, failure }: Answer): HubError {
  const reason = transfer ? `it answers with status ${transfer.status}` : reasonOf(failure);
  return new HubError('ERR_HUB_UNREACHABLE', `${shown(url)} was tried ${attempts} times: ${reason}`, {
    cause: failure,
  });
}

/** What a failure of `fetch` comes from: its own message says that it failed. */
export function reasonOf(failure: unknown): string {
  const cause = failure instanceof Error ? (failure.cause ?? failure) : failure;
  return cause instanceof Error ? cause.message || cause.name : String(cause);
}

async function checked({ token }: HubSettings, url: URL, transfer: Transfer): Promise<Transfer> {
  const { status, headers } = transfer;
  if (status === 200 || status === 206 || status === 404 || status === 416) return transfer;
  await transfer.cancel();
  const answers = `${shown(url)} answers with status ${status}`;
  if (status !== 401 && status !== 403) throw new HubError('ERR_HUB_UNREACHABLE', answers);
  const gated =
    headers.get('x-error-code') === 'GatedRepo' ? 'its terms must be accepted on its page first' : undefined;
  const closed =
    token === undefined
      ? 'there is no such public model, or it needs a token (HF_TOKEN)'
      : 'the token does not open it';
  throw new HubError('ERR_HUB_ACCESS', `${answers}: ${gated ?? closed}`);
}

/** Addresses of storage hold signatures in their query, which are nobody's business. */
export const shown = ({ origin, pathname }: URL): string => `${origin}${pathname}`;

export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const stop = () => {
      clearTimeout(timer);
      reject(signal!.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, ms);
    signal?.addEventListener('abort', stop, { once: true });
  });
}
