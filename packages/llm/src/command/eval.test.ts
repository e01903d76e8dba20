import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '@heddle/tensor';
import { afterEach, expect, test, vi } from 'vitest';
import { loadModel } from '../load-model.ts';
import { evalCommand } from './eval.ts';
import { TokenScorer } from './measure/token-scorer.ts';
import { parseEval } from './options/eval-options.ts';
import { UsageError } from './options/usage.ts';

const model = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));
const running = new AbortController().signal;

afterEach(() => vi.restoreAllMocks());

async function report(option: 'text' | 'choices', content: string): Promise<Record<string, number>> {
  const folder = await mkdtemp(join(tmpdir(), 'heddle-eval-'));
  let out = '';
  vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  try {
    const file = join(folder, 'file');
    await writeFile(file, content);
    const args = ['--model', model, `--${option}`, file, '--device', 'onnx', '--context', '32', '--json'];
    expect(await evalCommand(parseEval(args), running)).toBe(0);
    return JSON.parse(out) as Record<string, number>;
  } finally {
    await rm(folder, { recursive: true });
  }
}

test('a window that ends in the middle of a text changes only how much is seen before a token', async () => {
  const device = await openDevice('onnx');
  const loaded = await loadModel(model, { device });
  try {
    const text = 'It was a cold evening, and the wind was in the trees. '.repeat(3);
    const tokens = [0, ...loaded.requireTokenizer().encode(text)];
    expect(tokens.length).toBeGreaterThan(32);
    using whole = new TokenScorer(loaded, 64);
    using short = new TokenScorer(loaded, 16);
    const [one, other] = [await whole.nats(tokens), await short.nats(tokens)];
    expect([one.length, other.length]).toEqual([tokens.length - 1, tokens.length - 1]);
    for (let i = 0; i < 16; i++) expect(other[i]).toBeCloseTo(one[i]!, 3);
    // by hand, from the logits
    const logits = await loaded
      .forward({ tokens: device.tensor([tokens.slice(0, 4)], { dtype: 'i32' }) })
      .logits.data();
    const V = loaded.config.vocabularySize;
    const row = Array.from(logits.slice(2 * V, 3 * V));
    const most = Math.max(...row);
    const logSum = most + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - most), 0));
    expect(one[2]).toBeCloseTo(logSum - row[tokens[3]!]!, 3);
    expect((await whole.nats(tokens, 20)).length).toBe(tokens.length - 20);
  } finally {
    await loaded.dispose();
    await device.dispose();
  }
}, 120_000);

test('perplexity: prose is likelier than its letters in another order', async () => {
  const prose = await report('text', 'It was a cold evening, and the wind was in the trees.');
  const other = await report('text', 'Ti saw a dloc gnineve, dna eht dniw saw ni eht seert.');
  expect(prose['perplexity']).toBeLessThan(other['perplexity']! / 2);
  expect(Math.log(prose['perplexity']!)).toBeCloseTo(prose['nats_per_token']!, 6);
}, 120_000);

test('questions with several answers', async () => {
  const questions = [
    { prompt: 'It was a cold evening, and the', choices: [' qzx', ' wind'], answer: 1 },
    { prompt: 'Once upon a', choices: [' time', ' tkqq'], answer: 0 },
    { prompt: 'Once upon a', choices: [' time', ' tkqq'], answer: 1 },
  ];
  const found = await report('choices', questions.map((each) => JSON.stringify(each)).join('\n'));
  expect(found).toMatchObject({ questions: 3, accuracy: 2 / 3 });
  // less likely as a whole and by the character, likelier by the byte
  const accented = { prompt: 'Once upon a', choices: [' zzzzz', ' étéééé'], answer: 1 };
  const weighed = await report('choices', JSON.stringify(accented));
  expect(weighed).toMatchObject({ accuracy: 0, accuracy_by_bytes: 1 });
  await expect(report('choices', '{"prompt": "x", "choices": ["a"], "answer": 0}')).rejects.toThrow(/line 1 must be/);
}, 120_000);

test('options', () => {
  expect(() => parseEval(['--model', 'm'])).toThrow(UsageError);
  expect(() => parseEval(['--model', 'm', '--text', 'a', '--choices', 'b'])).toThrow(/either --text FILE or --choices/);
});
