import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test, vi } from 'vitest';
import { loadModel } from '../index.ts';
import { adaptedModel, openAdapter } from '../training.ts';
import { main } from './main.ts';
import { parseFinetune, parseTrain } from './options/training-options.ts';
import { UsageError } from './options/usage.ts';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-command-'));
});
afterAll(() => rm(folder, { recursive: true }));

/** The command in this process: its exit code, and what it wrote. */
async function heddle(args: readonly string[], signal = new AbortController().signal) {
  const written = { out: '', err: '' };
  const to = (stream: 'out' | 'err') => (chunk: unknown) => {
    written[stream] += String(chunk);
    return true;
  };
  vi.spyOn(process.stdout, 'write').mockImplementation(to('out'));
  vi.spyOn(process.stderr, 'write').mockImplementation(to('err'));
  vi.spyOn(console, 'error').mockImplementation(to('err'));
  try {
    const code = await main(args, signal);
    return { code, ...written };
  } finally {
    vi.restoreAllMocks();
  }
}

const sentence = 'The cat sat on the mat, and the dog sat on the log. ';
const small = ['--width', '64', '--layers', '1', '--vocabulary', '300', '--context', '32', '--batch', '2'];
const device = ['--device', 'onnx'];

test('train makes a model of a text, goes on with it, and finetune makes an adapter, or a merged model', async () => {
  const text = join(folder, 'text.txt');
  await writeFile(text, sentence.repeat(60));
  const [model, log, report] = ['model', 'log.jsonl', 'report.html'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  const trained = await heddle([
    'train',
    '--data',
    text,
    '--out',
    model,
    '--steps',
    '20',
    ...small,
    ...device,
    '--log',
    log,
    '--report',
    report,
  ]);
  expect(trained).toMatchObject({ code: 0, out: `${model}\n` });
  expect(trained.err).toMatch(/parameters are trained\n/);
  expect(trained.err).toMatch(/20\/20 · 0:00 left · loss .* · evaluation /);
  const losses = (await readFile(log, 'utf8'))
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { loss: number }).loss);
  expect(losses).toHaveLength(20);
  expect(losses.at(-1)!).toBeLessThan(losses[0]! * 0.8);
  expect(await readFile(report, 'utf8')).toContain('<svg');
  expect((await readdir(model)).sort()).toEqual([
    'config.json',
    'generation_config.json',
    'model.safetensors',
    'tokenizer.json',
    'tokenizer_config.json',
  ]);

  const further = join(folder, 'further');
  expect(
    await heddle([
      'train',
      '--data',
      text,
      '--model',
      model,
      '--out',
      further,
      '--steps',
      '2',
      '--batch',
      '2',
      '--checkpointing',
      ...device,
    ]),
  ).toMatchObject({ code: 0 });
  const generated = await heddle(['generate', '--model', further, '--prompt', 'The', '--max-tokens', '3', ...device]);
  expect(generated).toMatchObject({ code: 0 });

  const data = join(folder, 'data.jsonl');
  await writeFile(
    data,
    `${JSON.stringify({ prompt: 'The cat', completion: ' sat on the log.' })}\n${JSON.stringify({ text: 'The dog sat.' })}\n`,
  );
  const adapter = join(folder, 'adapter');
  const finetune = [
    'finetune',
    '--model',
    model,
    '--data',
    data,
    '--epochs',
    '3',
    '--batch',
    '1',
    '--length',
    '24',
    '--learning-rate',
    '0.01',
    ...device,
  ];
  const told = await heddle([...finetune, '--out', adapter, '--dropout', '0.1', '--json']);
  const { steps, ...rest } = JSON.parse(told.out) as Record<string, unknown>;
  expect([told.code, rest['out'], rest['of']]).toEqual([0, adapter, steps]);
  expect(rest).toMatchObject({ loss: expect.any(Number), seconds: expect.any(Number), held_out_loss: null });
  expect(await readdir(adapter)).toEqual(['adapter_config.json', 'adapter_model.safetensors']);
  const spoken = [
    'generate',
    '--model',
    model,
    '--prompt',
    'The cat',
    '--max-tokens',
    '6',
    '--temperature',
    '0',
    '--json',
  ];
  const tokensOf = async (args: readonly string[]) => {
    const { code, out } = await heddle([...spoken, ...args, ...device]);
    expect(code).toBe(0);
    return (JSON.parse(out) as { tokens: number[] }).tokens;
  };
  expect(await tokensOf(['--adapter', adapter])).not.toEqual(await tokensOf([]));
  expect(await heddle([...spoken, '--adapter', folder, ...device])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/there is no .*adapter_config\.json/),
  });
  const merged = join(folder, 'merged');
  expect(await heddle([...finetune, '--out', merged, '--merge'])).toMatchObject({ code: 0 });
  const full = join(folder, 'full');
  expect(await heddle([...finetune, '--out', full, '--full'])).toMatchObject({ code: 0 });

  const on = await openReference();
  const [base, mergedModel] = [await loadModel(model, { device: on }), await loadModel(merged, { device: on })];
  const lora = await openAdapter(on, adapter);
  expect(lora.options).toMatchObject({ rank: 8, alpha: 16, dropout: 0.1 });
  expect(lora.factors.size).toBe(7);
  const logits = async (of: Pick<typeof base, 'logits'>) => [...(await (await of.logits([[5, 6, 7]])).data())];
  const [before, after, beside] = [
    await logits(base),
    await logits(mergedModel),
    await logits(adaptedModel(base, lora)),
  ];
  for (const changed of [after, beside])
    expect(Math.max(...changed.map((value, i) => Math.abs(value - before[i]!)))).toBeGreaterThan(0.01);
  await on.dispose();
}, 240_000);

test('an interruption writes what there is; bad data is said in one line', async () => {
  const text = join(folder, 'long.txt');
  await writeFile(text, sentence.repeat(60));
  const interrupted = new AbortController();
  const out = join(folder, 'interrupted');
  const running = heddle(
    [
      'train',
      '--data',
      text,
      '--out',
      out,
      '--steps',
      '100000',
      ...small,
      ...device,
      '--log',
      join(folder, 'cut.jsonl'),
    ],
    interrupted.signal,
  );
  const taken = async () => (await readFile(join(folder, 'cut.jsonl'), 'utf8').catch(() => '')).split('\n').length > 2;
  while (!(await taken())) await new Promise((resolve) => setTimeout(resolve, 20));
  interrupted.abort();
  expect(await running).toMatchObject({ code: 130, out: `${out}\n` });
  expect(await readdir(out)).toContain('model.safetensors');

  await writeFile(join(folder, 'short.txt'), 'Too short.');
  expect(
    await heddle(['train', '--data', join(folder, 'short.txt'), '--out', join(folder, 'short'), ...small, ...device]),
  ).toMatchObject({
    code: 1,
    err: expect.stringMatching(/short\.txt has \d+ tokens, a row takes 33/),
  });
  expect(await heddle(['train', '--data', join(folder, 'none'), '--out', out])).toMatchObject({
    code: 1,
    err: expect.stringMatching(/cannot read/),
  });
  await writeFile(join(folder, 'bad.jsonl'), '{"text": 3}\n');
  expect(
    await heddle([
      'finetune',
      '--model',
      out,
      '--data',
      join(folder, 'bad.jsonl'),
      '--out',
      join(folder, 'x'),
      ...device,
    ]),
  ).toMatchObject({
    code: 1,
    err: expect.stringMatching(/bad\.jsonl, line 1: takes \{ text \}/),
  });
}, 240_000);

test('options: what they take, and what is refused', () => {
  expect(parseTrain(['--data', 'a', '--out', 'b'])).toMatchObject({
    steps: 2000,
    batch: 32,
    learningRate: 4e-3,
    model: undefined,
  });
  expect(parseTrain(['--data', 'a', '--out', 'b', '--model', 'm'])).toMatchObject({ learningRate: 3e-4 });
  expect(
    parseFinetune(['--model', 'm', '--data', 'a', '--out', 'b', '--rank', '4', '--targets', 'q_proj, v_proj']),
  ).toMatchObject({
    rank: 4,
    alpha: 8,
    targets: ['q_proj', 'v_proj'],
    learningRate: 2e-4,
    full: false,
  });
  const wrong: [(args: readonly string[]) => unknown, string[], RegExp][] = [
    [parseTrain, ['--out', 'b'], /train needs --data/],
    [parseTrain, ['--data', 'a'], /train needs --out/],
    [parseTrain, ['--data', 'a', '--out', 'b', '--width', '100'], /--width takes a multiple of 64, got '100'/],
    [parseTrain, ['--data', 'a', '--out', 'b', '--model', 'm', '--layers', '2'], /--layers is of new models/],
    [parseTrain, ['--data', 'a', '--out', 'b', '--seed', ''], /--seed takes a whole number of at least 0, got ''/],
    [
      parseTrain,
      ['--data', 'a', '--out', 'b', '--learning-rate', 'x'],
      /--learning-rate takes a number of at least 0, got 'x'/,
    ],
    [parseFinetune, ['--data', 'a', '--out', 'b'], /finetune needs --model/],
    [
      parseFinetune,
      ['--model', 'm', '--data', 'a', '--out', 'b', '--full', '--rank', '2'],
      /--full trains all weights, --rank is of adapters/,
    ],
    [
      parseFinetune,
      ['--model', 'm', '--data', 'a', '--out', 'b', '--merge', '--dtype', 'q4_0'],
      /--merge takes weights of f32 or f16/,
    ],
    [parseFinetune, ['--model', 'm', '--data', 'a', '--out', 'b', '--targets', 'q_proj,,'], /--targets takes names/],
    [
      parseFinetune,
      ['--model', 'm', '--data', 'a', '--out', 'b', '--dropout', '1'],
      /--dropout takes a number below 1/,
    ],
  ];
  for (const [parse, args, message] of wrong) {
    expect(() => parse(args)).toThrow(UsageError);
    expect(() => parse(args)).toThrow(message);
  }
});
