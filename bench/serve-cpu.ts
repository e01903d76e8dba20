// The server on a CPU with the model that comes with the repository: from the start of the command to the first token, requests a second of
// 32 clients against llama.cpp behind a plain http server (in turns, so that both see the same machine), and ten times too many requests.
//   node bench/dist/serve-cpu.js [--clients 32] [--rounds 3]        NODE_LLAMA_CPP=path of node-llama-cpp's dist/index.js; without it there is no peer
import { type ChildProcess, spawn } from 'node:child_process';
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
import { LoadClients } from './serve-load.js';
import { ended, firstLine, startToFirstToken } from './served-command.js';

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

const bodyOf = (prompt: string) =>
  JSON.stringify({ model: 'prose', prompt, max_tokens: newTokens, temperature: 0, ignore_eos: true });

/** Requests a second of clients that each ask one after the other. */
async function throughput(load: LoadClients, url: string): Promise<number> {
  const requests = clients * perClient;
  const bodies = Array.from({ length: requests }, (_, i) => bodyOf(`${i}. ${texts[i % texts.length]}`));
  const { answers, ms } = await load.run({ url, bodies, requests, clients });
  const wrong = answers.find(({ status }) => status !== 200);
  if (wrong) throw new Error(`an answer had status ${wrong.status}`);
  return (1000 * requests) / ms;
}

const percentile = (of: readonly number[], part: number) =>
  [...of].sort((a, b) => a - b)[Math.min(of.length - 1, Math.floor(part * of.length))]!;

const starts: number[] = [];
for (let i = 0; i < rounds; i++)
  starts.push(await startToFirstToken('prose', ['--model', `prose=${prose}`, '--device', 'onnx']));
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
const load = new LoadClients();
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
    const own = await throughput(load, url);
    const other = peerUrl === undefined ? undefined : await throughput(load, peerUrl);
    if (i === 0) continue; // what is compiled first
    rates.own.push(own);
    if (other !== undefined) rates.peer.push(other);
  }
  const ratio = rates.peer.length > 0 ? median(rates.own.map((own, i) => own / rates.peer[i]!)) : undefined;
  note(`${clients} clients`, median(rates.own), 'requests/s', ratio, 'llama.cpp behind http (must 0.8, aim 1.2)');

  // requests that come ten times as fast as they are answered: those that are let in, beside as many clients alone
  const most = 8;
  const limited = { url: await listen(most), bodies: texts.map(bodyOf) };
  await load.run({ ...limited, requests: 2 * most, clients: most });
  const alone = await load.run({ ...limited, requests: 16 * most, clients: most });
  const rate = (10 * 1000 * alone.answers.length) / alone.ms;
  const flooded = await load.run({ ...limited, requests: 10 * alone.answers.length, rate });
  const times = (status: number) => flooded.answers.filter((each) => each.status === status).map(({ ms }) => ms);
  const [accepted, refused] = [percentile(times(200), 0.99), percentile(times(429), 0.99)];
  const before = percentile(
    alone.answers.map(({ ms }) => ms),
    0.99,
  );
  console.log(`${times(200).length} accepted, ${times(429).length} refused, ${rate.toFixed(0)} requests a second`);
  note('ten times too many: accepted, p99', accepted, 'ms', accepted / before, 'as many alone (must 1.3)');
  note('ten times too many: refused, p50, as its client sees it', median(times(429)), 'ms');
  note('ten times too many: refused, p99, as its client sees it', refused, 'ms (must 10)');
} finally {
  load.dispose();
  for (const server of servers) {
    server.close();
    server.closeAllConnections();
  }
  if (peer) await ended(peer);
  await model.dispose();
  await rm(folder, { recursive: true });
}
report(measurements);
