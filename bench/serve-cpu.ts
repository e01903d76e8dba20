// The server on a CPU with the model that comes with the repository: from the start of the command to the first token, requests a second of
// 32 clients against llama.cpp behind a plain http server (in turns, so that both see the same machine), and ten times too many requests.
//   node bench/dist/serve-cpu.js [--clients 32] [--rounds 3]        NODE_LLAMA_CPP=path of node-llama-cpp's dist/index.js; without it there is no peer
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { quantizeModel } from '@heddle/llm';
import { createServer, workerModel } from '@heddle/llm/serve';
import { createAdaptorServer } from '@hono/node-server';
import { type Measurement, median, report } from './results.js';

const { values } = parseArgs({
  options: { clients: { type: 'string', default: '32' }, rounds: { type: 'string', default: '3' } },
});
const [clients, rounds] = [Number(values.clients), Number(values.rounds)];
const [perClient, newTokens] = [2, 32];
const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));
const prose = at('../../examples/models/prose4m');
const texts = [
  'Once upon a time there was',
  'The sea was grey, and',
  'My dear friend, I have',
  'It was a cold evening, so',
];

const measurements: Measurement[] = [];
const note = (what: string, value: number, unit: string, ratio?: number, against?: string) => {
  const row = { what: `serve on a CPU: ${what}`, value, unit, adapter: 'onnx' };
  measurements.push(ratio === undefined ? row : { ...row, ratio, against: against! });
  console.log(what, value.toPrecision(4), unit, ratio === undefined ? '' : `${ratio.toPrecision(3)} of ${against}`);
};

interface Answered {
  readonly status: number;
  readonly ms: number;
}

async function ask(url: string, prompt: string, maxTokens = newTokens): Promise<Answered> {
  const began = performance.now();
  const body = JSON.stringify({ model: 'prose', prompt, max_tokens: maxTokens, temperature: 0, ignore_eos: true });
  const response = await fetch(url, { method: 'POST', headers: { 'content-type': 'application/json' }, body });
  await response.text();
  return { status: response.status, ms: performance.now() - began };
}

/** The first line that a program writes. */
async function firstLine(child: ChildProcess): Promise<string> {
  let text = '';
  for await (const chunk of child.stdout!) {
    text += String(chunk);
    if (text.includes('\n')) return text.slice(0, text.indexOf('\n'));
  }
  throw new Error('it ended before it said anything');
}

async function ended(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGTERM');
  await exit;
}

/** Milliseconds from the start of `heddle serve` to its first token. */
async function start(): Promise<number> {
  const began = performance.now();
  const args = ['serve', '--model', `prose=${prose}`, '--port', '0', '--device', 'onnx', '--quiet', '--json'];
  const child = spawn(process.execPath, [at('../../packages/llm/bin/heddle.js'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const { url } = JSON.parse(await firstLine(child)) as { readonly url: string };
  await ask(`${url}/completions`, texts[0]!, 1);
  const taken = performance.now() - began;
  await ended(child);
  return taken;
}

/** Requests a second of clients that each ask one after the other. */
async function throughput(url: string): Promise<number> {
  const began = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async (_, client) => {
      for (let i = 0; i < perClient; i++) {
        const { status } = await ask(url, `${client} ${i}. ${texts[client % texts.length]}`);
        if (status !== 200) throw new Error(`an answer had status ${status}`);
      }
    }),
  );
  return (1000 * clients * perClient) / (performance.now() - began);
}

const percentile = (of: readonly number[], part: number) =>
  [...of].sort((a, b) => a - b)[Math.min(of.length - 1, Math.floor(part * of.length))]!;

const starts: number[] = [];
for (let i = 0; i < rounds; i++) starts.push(await start());
note('start of the command to the first token', median(starts) / 1000, 's (must 1.5, aim 1)');

const folder = await mkdtemp(join(tmpdir(), 'heddle-bench-serve-cpu-'));
const model = workerModel('prose', prose, { device: 'onnx', maxSequences: clients });
const servers: Server[] = [];
const listen = async (maxRequests: number): Promise<string> => {
  const server = createAdaptorServer({ fetch: createServer([model], { maxRequests }).fetch }) as Server;
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  servers.push(server);
  return `http://127.0.0.1:${(server.address() as { port: number }).port}/v1/completions`;
};
let peer: ChildProcess | undefined;
try {
  await model.opened;
  const url = await listen(256);
  let peerUrl: string | undefined;
  if (process.env['NODE_LLAMA_CPP']) {
    const file = join(folder, 'prose.gguf');
    await quantizeModel(prose, file, { dtype: 'f16' });
    const sizes = [String(clients), '512', String(availableParallelism())];
    peer = spawn(process.execPath, [at('../peers/llama-server.mjs'), file, ...sizes], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    peerUrl = `http://127.0.0.1:${await firstLine(peer)}/`;
  }
  const rates = { own: [] as number[], peer: [] as number[] };
  for (let i = 0; i <= rounds; i++) {
    const own = await throughput(url);
    const other = peerUrl === undefined ? undefined : await throughput(peerUrl);
    if (i === 0) continue; // what is compiled first
    rates.own.push(own);
    if (other !== undefined) rates.peer.push(other);
  }
  const ratio = rates.peer.length > 0 ? median(rates.own.map((own, i) => own / rates.peer[i]!)) : undefined;
  note(`${clients} clients`, median(rates.own), 'requests/s', ratio, 'llama.cpp behind http (must 0.8, aim 1.2)');

  // ten times as many as are let in: those that are, beside as many alone
  const most = 8;
  const limited = await listen(most);
  const alone: number[] = [];
  for (let i = 0; i < rounds; i++)
    alone.push(...(await Promise.all(Array.from({ length: most }, () => ask(limited, texts[0]!)))).map(({ ms }) => ms));
  const flooded: Answered[] = [];
  for (let i = 0; i < rounds; i++)
    flooded.push(...(await Promise.all(Array.from({ length: 10 * most }, () => ask(limited, texts[0]!)))));
  const times = (status: number) => flooded.filter((each) => each.status === status).map(({ ms }) => ms);
  const [accepted, refused] = [percentile(times(200), 0.99), percentile(times(429), 0.99)];
  note(
    'ten times too many: accepted, p99',
    accepted,
    'ms',
    accepted / percentile(alone, 0.99),
    'as many alone (must 1.3)',
  );
  note('ten times too many: refused, p99, as its client sees it', refused, 'ms (must 10)');
} finally {
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  if (peer) await ended(peer);
  await model.dispose();
  await rm(folder, { recursive: true });
}
report(measurements);
