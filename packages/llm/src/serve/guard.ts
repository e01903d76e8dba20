import { refuse } from './fault.ts';

/** Who may ask, and how much. */
export interface GuardOptions {
  /** Keys, one of which must come as `Authorization: Bearer KEY` or `x-api-key: KEY`. Default none: everyone may ask. */
  readonly keys?: readonly string[];
  /**
   * Names under which the server may be addressed, without ports: `anyAddress` among them is every IP address, '*' alone any name.
   * Default those of this machine's loopback.
   */
  readonly hosts?: readonly string[] | '*';
  /** Pages of other origins that may ask. Default none. */
  readonly origins?: readonly string[];
  /** Bytes of a request's body. Default 8 MiB. */
  readonly maxBodyBytes?: number;
}

const loopback: readonly string[] = ['localhost', '127.0.0.1', '[::1]'];
const maxDepth = 128;

/** Among `hosts`: every IP address. A page that reaches the server by a name of its own (DNS rebinding) has none. */
export const anyAddress = '<address>';

/** Checks of requests before anything of them is looked at. */
export class Guard {
  readonly #options: GuardOptions;
  readonly #keys: Promise<readonly Uint8Array[]>;

  constructor(options: GuardOptions) {
    this.#options = options;
    this.#keys = Promise.all((options.keys ?? []).map(digest));
  }

  /** A page that reaches a server on this machine by another name (DNS rebinding), or from another origin, is refused. */
  checkSource(request: Request): void {
    const { hosts = loopback, origins = [] } = this.#options;
    const host = request.headers.get('host') ?? new URL(request.url).host;
    const name = host.replace(/:\d+$/, '').toLowerCase();
    const isAllowed = (each: string) => each.toLowerCase() === name || (each === anyAddress && isAddress(name));
    if (hosts !== '*' && !hosts.some(isAllowed))
      refuse(403, `Host: this server does not answer as '${host.slice(0, 100)}'.`, { code: 'host_not_allowed' });
    const origin = request.headers.get('origin');
    if (origin === null || origins.includes(origin)) return;
    if (origin !== `http://${host}` && origin !== `https://${host}`)
      refuse(403, `Origin: pages of '${origin.slice(0, 100)}' may not ask this server.`, {
        code: 'origin_not_allowed',
      });
  }

  /** @returns which of the keys came, as a number; every key is compared, in the same time whatever came */
  async checkKey(request: Request): Promise<number> {
    const keys = await this.#keys;
    if (keys.length === 0) return 0;
    const bearer = /^Bearer (.+)$/i.exec(request.headers.get('authorization') ?? '')?.[1];
    const given = await digest(bearer ?? request.headers.get('x-api-key') ?? '');
    let found = -1;
    for (const [i, key] of keys.entries()) {
      let difference = 0;
      for (let at = 0; at < key.length; at++) difference |= key[at]! ^ given[at]!;
      if (difference === 0) found = i;
    }
    if (found < 0) refuse(401, 'Authorization: a valid API key is needed.', { code: 'invalid_api_key' });
    return found;
  }

  /** The body of a request as JSON. */
  async readJson(request: Request): Promise<unknown> {
    const type = request.headers.get('content-type') ?? '';
    // a form of another page can send anything else without asking first
    if (!/^application\/json\s*(;|$)/i.test(type))
      refuse(415, `Content-Type: takes application/json, got '${type.slice(0, 100)}'.`, {
        code: 'unsupported_media_type',
      });
    const text = await this.#readText(request);
    let value: unknown;
    try {
      value = JSON.parse(text);
    } catch {
      refuse(400, 'The body is no JSON.', { code: 'invalid_json' });
    }
    if (depthOf(value) > maxDepth)
      refuse(400, `The body is nested deeper than ${maxDepth} levels.`, { code: 'invalid_json' });
    return value;
  }

  async #readText(request: Request): Promise<string> {
    const { maxBodyBytes = 8 * 2 ** 20 } = this.#options;
    const tooLarge = (): never =>
      refuse(413, `The body may have at most ${maxBodyBytes} bytes.`, { code: 'body_too_large' });
    if (Number(request.headers.get('content-length') ?? 0) > maxBodyBytes) tooLarge();
    const decoder = new TextDecoder('utf-8', { fatal: true });
    let [text, bytes] = ['', 0];
    if (!request.body) return text;
    try {
      for await (const chunk of request.body as unknown as AsyncIterable<Uint8Array>) {
        bytes += chunk.length;
        if (bytes > maxBodyBytes) tooLarge();
        text += decoder.decode(chunk, { stream: true });
      }
      return text + decoder.decode();
    } catch (error) {
      if (error instanceof TypeError) refuse(400, 'The body is no UTF-8.', { code: 'invalid_json' });
      throw error;
    }
  }
}

/** Whether a host is an IP address, as it stands in a header. */
const isAddress = (name: string) => /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || /^\[[\da-f:.]+\]$/.test(name);

async function digest(text: string): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(text)));
}

/** How deep a value of JSON is, without recursion. */
function depthOf(value: unknown): number {
  let level: unknown[] = [value];
  let depth = 0;
  while (level.length > 0 && depth <= maxDepth) {
    level = level.flatMap((each) => (typeof each === 'object' && each !== null ? Object.values(each) : []));
    if (level.length > 0) depth++;
  }
  return depth;
}
