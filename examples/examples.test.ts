import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { clientsInstalled, clientsMissing } from '../test-support/official-clients.ts';

const root = fileURLToPath(new URL('..', import.meta.url));

async function run(name: string, ...parameters: readonly string[]): Promise<string> {
  const args = ['--import', 'tsx', '--conditions=@heddle/source', `examples/${name}.ts`, ...parameters];
  return (await promisify(execFile)(process.execPath, args, { cwd: root })).stdout;
}

test('tensor-basics computes, differentiates and learns', async () => {
  const output = await run('tensor-basics');
  expect(output).toContain('sums Float32Array(2) [ 15, 33 ]');
  expect(output).toContain('gradients 30 9');
  expect(output).toMatch(/\d ms a step/);
  expect(Number(/step 400: loss ([\d.]+)/.exec(output)?.[1])).toBeLessThan(0.2);
}, 180_000);

test('export-onnx writes a network that a bare session runs with the same results', async () => {
  const output = await run('export-onnx');
  expect(Number(/step 300: loss ([\d.]+)/.exec(output)?.[1])).toBeLessThan(0.2);
  expect(output).toContain('inputs points, outputs probabilities');
  const [, right, difference] =
    /1000 points: (\d+) right, probabilities differ by at most ([^\s,]+)/.exec(output) ?? [];
  expect(Number(right)).toBeGreaterThan(930);
  expect(Number(difference)).toBeLessThan(1e-5);
}, 180_000);

test('generate-text writes prose', async () => {
  const output = await run('generate-text', 'examples/models/prose4m', 'Once upon a time', 'onnx');
  expect(output).toMatch(
    /^Once upon a time.{100,}\n\nonnx: .*\n\d+ prompt tokens in [\d.]+ ms, then \d+ tokens\/s\n$/s,
  );
}, 180_000);

test('structured-output writes texts of a form', async () => {
  const output = await run('structured-output', 'examples/models/prose4m', 'onnx');
  expect(output).toMatch(
    /^letter: \{[\s\S]*\}\nverse: [A-Z][a-z]{2,8}( [a-z]{1,8}){2,5}[.!?]\nanswer: (yes|no|never)\n/,
  );
  expect(output).toMatch(/\npages and mood: ([1-9]|[123]\d|40) (glad|grave|tender)\n$/);
}, 180_000);

test('chat-server answers a client as it comes, and in JSON', async (context) => {
  if (!clientsInstalled) context.skip(clientsMissing);
  const output = await run('clients/chat-server', 'examples/models/prose4m', 'onnx');
  expect(output).toMatch(/^local at http:\/\/127\.0\.0\.1:\d+\/v1\n.{20,}\nas JSON: (glad|grave)\ntokens: \d+\n$/s);
}, 180_000);

test('ai-sdk writes text and has a tool called', async (context) => {
  if (!clientsInstalled) context.skip(clientsMissing);
  const output = await run('clients/ai-sdk', 'examples/models/prose4m', 'onnx');
  expect(output).toMatch(
    /.{20,}\ncalled: feel \{"mood":"(glad|grave|tender)"\}\n[\s\S]*result: so you are (glad|grave|tender)\n/s,
  );
}, 180_000);

test('own-sampler writes three texts, the more alike the fewer tokens it keeps', async () => {
  const output = await run('own-sampler', 'examples/models/prose4m', 'Once upon a time', 'onnx');
  expect(output).toMatch(/^1 sigmas:.{40,}\n\n3 sigmas:.{40,}\n\n1e\+30 sigmas:.{40,}\n\n$/s);
  const texts = output.split(/\n\n?[13][\de+]* sigmas:/);
  expect(new Set(texts).size).toBe(texts.length);
}, 180_000);

test('own-scheduler ends short texts first, and own-attention changes what is written', async () => {
  const [scheduled, attended] = await Promise.all([
    run('own-scheduler', 'examples/models/prose4m', 'onnx'),
    run('own-attention', 'examples/models/prose4m', 'Once upon a time', 'onnx'),
  ]);
  expect(scheduled).toMatch(/^first-come: texts of (\d+, ){5}\d+ tokens, as they ended\n/);
  const order = /least to generate: texts of ([\d, ]+) tokens/.exec(scheduled)?.[1]?.split(', ').map(Number) ?? [];
  expect(order).toEqual([...order].sort((a, b) => a - b));
  expect(scheduled).toMatch(/same texts: true\n$/);
  const texts = attended
    .split('\n\n')
    .slice(0, 3)
    .map((text) => text.slice(text.indexOf(':')));
  expect(new Set(texts).size).toBe(3);
}, 180_000);

test('lora-per-request answers in three ways in one batch', async () => {
  const output = await run('lora-per-request', 'onnx');
  expect(output).toContain('sailor: " swore at the gulls."');
  expect(output).toContain('gentleman: " begged their pardon."');
  expect(output).toMatch(/^alone: "(?! swore| begged)/m);
}, 180_000);

test('fine-tune-lora teaches a model a capital, beside its weights and in them', async () => {
  const output = await run('fine-tune-lora', 'onnx');
  expect(output).toContain('147,968 parameters are trained, 3.7% of the model');
  for (const who of ['trained:', 'opened: ', 'merged: '])
    expect(output).toContain(`${who} "The capital of France is Paris."`);
  expect(output).not.toContain('before:  "The capital of France is Paris."');
}, 180_000);

test('dynamic-batching fills batches, and gives the tokens that each prompt gets alone', async () => {
  const rows = (await run('dynamic-batching')).trimEnd().split('\n').slice(-4);
  const cells = rows.map((row) => row.trim().split(/ {2,}/));
  expect(cells.map(([requests, batches]) => [requests, batches])).toEqual([
    ['1', '1'],
    ['4', '4'],
    ['16', '8 8'],
    ['40', '8 8 8 8 8'],
  ]);
  expect(cells.map((row) => row.at(-1))).toEqual(['true', 'true', 'true', 'true']);
  // full batches start at once; others wait for company
  for (const [, , meanWait] of cells.slice(0, 2)) expect(Number(meanWait)).toBeGreaterThanOrEqual(9);
}, 180_000);

test('load-gguf quantises prose4m and writes prose from the file', async () => {
  const output = await run('load-gguf', 'examples/models/prose4m', 'q8_0', 'onnx');
  expect(output).toMatch(/^3950848 parameters, 7906304 bytes in f16, a file of \d{7} in q8_0\n.{60,}/s);
}, 180_000);

test('architecture-analysis counts three models in two ways', async () => {
  const rows = (await run('architecture-analysis')).split('\n').filter((line) => /^(?:blocks-|gpt2|llama)/.test(line));
  expect(rows.map((row) => row.trim().split(/ {2,}/))).toEqual([
    ['blocks-gpt2-small-mha', '0.125', 'mha', '2048', '12.58', '16.1', '37.6%'],
    ['blocks-llama-7b-mqa', '4.134', 'mqa', '2048', '2.10', '176.1', '0.8%'],
    ['blocks-llama-65b-gqa-8', '41.222', 'gqa-8', '2048', '16.78', '687.2', '1.6%'],
    ['gpt2-small', '0.124', 'mha', '1024', '6.29', '6.4', '23.3%'],
    ['llama-7b', '6.738', 'mha', '2048', '67.11', '309.3', '13.7%'],
    ['llama-65b', '65.286', 'mha', '2048', '134.22', '1168.3', '7.6%'],
  ]);
}, 180_000);

test('attention-variants measures each of them', async () => {
  const rows = (await run('attention-variants', '64', '4', '64', 'onnx')).trimEnd().split('\n').slice(-6);
  const cells = rows.map((row) => row.trim().split(/ {2,}/));
  expect(cells.map(([name]) => name)).toEqual([
    'MHA',
    'MHA + rotary',
    'MQA + rotary',
    'MQA + rotary, pre-norm',
    'MQA + rotary, RMS norm',
    'MQA + rotary, RMS norm, flash',
  ]);
  for (const [, ms, relative, weights] of cells) {
    expect(Number(ms)).toBeGreaterThan(0);
    expect(Math.abs(Number(relative) - Number(ms) / Number(cells[0]![1]))).toBeLessThan(0.1 + 0.1 * Number(relative));
    expect(Number(weights)).toBeGreaterThan(0);
  }
  // four heads share keys and values
  expect(cells.map((row) => Number(row.at(-1)))).toEqual([512, 512, 128, 128, 128, 128]);
}, 180_000);

test('a device alone is a device, in every example; what is none is refused with the usage', async () => {
  expect(await run('tensor-basics', 'reference')).toMatch(/^reference: /);
  const sizes = (await run('attention-variants', '16', '2', '8', 'reference')).split('\n');
  expect(sizes[1]).toMatch(/^width 16, 2 heads, length 8/);
  expect(await run('generate-text', 'onnx')).toMatch(/\n\nonnx: /);
  const wrong: [string, string[], RegExp][] = [
    ['tensor-basics', ['cuda'], /^'cuda' is no device\nusage: tensor-basics\.ts \[DEVICE\]/],
    ['attention-variants', ['wide', 'onnx'], /^WIDTH takes a whole number above 0, got 'wide'\n/],
    ['attention-variants', ['10', '4', 'onnx'], /^WIDTH \/ HEADS takes a whole number above 0, got '2.5'\n/],
    ['generate-text', ['model', 'prompt', 'gpu'], /^'gpu' is no device\n/],
    ['dynamic-batching', ['model', 'gpu'], /^'gpu' is no device\n/],
    ['export-onnx', ['file', 'gpu'], /^'gpu' is no device\n/],
  ];
  for (const [name, parameters, message] of wrong)
    await expect(run(name, ...parameters)).rejects.toMatchObject({ code: 2, stderr: expect.stringMatching(message) });
}, 240_000);

test('kv-cache-tiers holds twice as many tokens as fit, and says where they are', async () => {
  const output = await run('kv-cache-tiers', '1', '8', 'reference');
  const [alone, over] = output.split('a folder beneath');
  for (const part of [alone!, over!]) {
    expect(part).toMatch(/^hot {4} {2}2048 tokens .* evictions 14336$/m);
    expect(part).toMatch(/^warm {3} {2}2048 tokens .* evictions 12288$/m);
    expect(part).toMatch(/^cold {3} {2}4096 tokens .* evictions 8192$/m);
  }
  expect(alone).toMatch(/of 14336 tokens asked for 1024 were missing/);
  expect(over).toMatch(/^folder {3}8192 tokens .* misses 0, hit rate 1.00, evictions 0$/m);
  expect(over).toMatch(/of 14336 tokens asked for 0 were missing/);
}, 180_000);

test('own-kv-cache keeps the contract, and finds every token again', async () => {
  const output = await run('own-kv-cache');
  expect(output).toMatch(/keeps \d\d rules/);
  expect(output).toContain('512 rows in 32 steps, all of them there: true');
  expect(output).toContain('remote 384 tokens, 384 hits');
}, 180_000);
