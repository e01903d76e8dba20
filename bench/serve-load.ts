// Clients of a server in a process of their own, so that what they do takes no time of the server's: as many as are told, each of which
// asks again when it was answered, or requests that come at a steady rate whatever was answered. Told by messages of the process that started it.
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { Agent, request } from 'node:http';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** What is asked, and how. */
export interface Load {
  readonly url: string;
  readonly bodies: readonly string[];
  /** So many requests in all. */
  readonly requests: number;
  /** So many clients, or so many requests a second. */
  readonly clients?: number;
  readonly rate?: number;
}

/** What a client saw of one request. */
export interface Answered {
  readonly status: number;
  readonly ms: number;
}

/** What all of them saw, and how long it took together. */
export interface LoadSeen {
  readonly answers: readonly Answered[];
  readonly ms: number;
}

const agent = new Agent({ keepAlive: true });

function ask(url: string, body: string): Promise<Answered> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) };
    const asked = request(url, { method: 'POST', agent, headers }, (response) => {
      response.resume();
      response.once('error', reject);
      response.once('end', () => resolve({ status: response.statusCode!, ms: performance.now() - began }));
    });
    asked.once('error', reject);
    asked.end(body);
  });
}

async function run({ url, bodies, requests, clients, rate }: Load): Promise<LoadSeen> {
  const began = performance.now();
  const answers: Answered[] = [];
  let next = 0;
  const one = async () => {
    const number = next++;
    answers.push(await ask(url, bodies[number % bodies.length]!));
  };
  if (rate === undefined) {
    const client = async () => {
      while (next < requests) await one();
    };
    await Promise.all(Array.from({ length: clients ?? 1 }, client));
  } else {
    const open: Promise<void>[] = [];
    while (next < requests) {
      const due = Math.min(requests, Math.floor(((performance.now() - began) * rate) / 1000) + 1);
      while (next < due) open.push(one());
      await wait(1);
    }
    await Promise.all(open);
  }
  return { answers, ms: performance.now() - began };
}

/** A process with such clients. */
export class LoadClients {
  readonly #child: ChildProcess = fork(fileURLToPath(import.meta.url), ['clients']);

  async run(load: Load): Promise<LoadSeen> {
    this.#child.send(load);
    const [seen] = (await once(this.#child, 'message')) as [LoadSeen | { readonly error: string }];
    if ('error' in seen) throw new Error(seen.error);
    return seen;
  }

  dispose(): void {
    this.#child.disconnect();
  }
}

if (process.argv[2] === 'clients' && process.send)
  process.on('message', async (load: Load) => {
    const seen = await run(load).catch((error: unknown) => ({ error: String(error) }));
    process.send!(seen);
  });
