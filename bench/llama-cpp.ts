// What llama.cpp makes of the GGUF files that are written here, and how far files of both are from f16.
//   npm install --ignore-scripts --prefix PEERS node-llama-cpp@3.22.1
//   PEERS=folder node bench/dist/llama-cpp.js [MODEL]
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { divergence, type LoadedModel, loadModel, openEngine, quantizeModel } from '@heddle/llm';
import { openDevice } from '@heddle/tensor';
import { type Measurement, report } from './results.ts';

const peers = process.env['PEERS'];
if (peers === undefined) throw new Error('PEERS names the folder in which node-llama-cpp is installed');
const root = fileURLToPath(new URL('../..', import.meta.url));
const source = process.argv[2] ?? join(root, 'examples/models/prose4m');
const prompts = ['The fields were', 'In the morning he', 'She had never seen'];
const tokensEach = 64;
/** By the numbers of the format. */
const theirTypes = { q8_0: 7, q4_k: 14 } as const;

const folder = mkdtempSync(join(tmpdir(), 'heddle-llama-cpp-'));
const device = await openDevice('onnx');
const rows: Measurement[] = [];
try {
  const reference = await loadModel(source, { device, dtype: 'f16', activations: 'f32' });
  const { tokenizer } = reference;
  if (!tokenizer) throw new Error(`${source} has no tokenizer`);
  const texts: number[][] = [];
  for (const prompt of prompts) {
    const tokens = tokenizer.encode(prompt);
    texts.push([...tokens, ...(await greedy(reference, tokens))]);
  }
  const kl: Record<string, number> = {};
  for (const dtype of ['f16', 'q8_0', 'q4_k'] as const) {
    const path = join(folder, `${dtype}.gguf`);
    await quantizeModel(source, path, { dtype });
    const model = await loadModel(path, { device, activations: 'f32' });
    let same = 0;
    for (const prompt of prompts) {
      const tokens = tokenizer.encode(prompt);
      const ours = await greedy(model, tokens);
      const theirs = llamaCpp(path, tokens);
      const differs = ours.findIndex((token, i) => token !== theirs[i]);
      same += differs < 0 ? ours.length : differs;
    }
    const of = prompts.length * tokensEach;
    rows.push(row(`${dtype}: greedy tokens of llama.cpp that are ours`, same, 'tokens', same / of, `${of} tokens`));
    kl[dtype] = (await divergence(reference, model, texts)).kl;
    await model.dispose();
  }
  for (const [dtype, type] of Object.entries(theirTypes)) {
    const path = join(folder, `theirs-${dtype}.gguf`);
    const script = join(root, 'bench/peers/llama_quantize.py');
    execFileSync('python3', [script, peers, join(folder, 'f16.gguf'), path, String(type)], { stdio: 'ignore' });
    const model = await loadModel(path, { device, activations: 'f32' });
    const theirs = (await divergence(reference, model, texts)).kl;
    await model.dispose();
    const what = `${dtype}: KL from f16, nats a token (llama.cpp's file ${theirs.toExponential(2)})`;
    rows.push(row(what, kl[dtype]!, 'nats', kl[dtype]! / theirs, "llama.cpp's file of the type"));
  }
  await reference.dispose();
  report(rows);
} finally {
  await device.dispose();
  rmSync(folder, { recursive: true });
}

function row(what: string, value: number, unit: string, ratio: number, against: string): Measurement {
  return { what: `GGUF ${what}`, value, unit, adapter: device.name, ratio, against };
}

async function greedy(model: LoadedModel, tokens: readonly number[]): Promise<number[]> {
  const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 256 });
  try {
    const all: number[] = [];
    for await (const token of engine.generate({ tokens, maxTokens: tokensEach, stopTokens: [] })) all.push(token);
    return all;
  } finally {
    await engine.dispose();
  }
}

function llamaCpp(path: string, tokens: readonly number[]): number[] {
  const script = join(root, 'bench/peers/llama_cpp_tokens.mjs');
  const args = [script, peers!, path, String(tokensEach), tokens.join(',')];
  const output = execFileSync('node', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  return JSON.parse(output.trim().split('\n').at(-1)!) as number[];
}
