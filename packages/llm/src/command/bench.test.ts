import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test, vi } from 'vitest';
import { benchCommand } from './bench.ts';
import type { BenchRow } from './measure/bench-run.ts';
import { parseBench } from './options/bench-options.ts';
import { UsageError } from './options/usage.ts';

const model = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));
const sizes = [
  '--model',
  model,
  '--device',
  'onnx',
  '--prompt-tokens',
  '8',
  '--batches',
  '1,2',
  '--new-tokens',
  '3',
  '--runs',
  '1',
];

test('figures as JSON, and beside those of another run', async () => {
  let out = '';
  const written = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    out += String(text);
    return true;
  });
  const folder = await mkdtemp(join(tmpdir(), 'heddle-bench-'));
  try {
    const running = new AbortController().signal;
    expect(await benchCommand(parseBench([...sizes, '--json']), running)).toBe(0);
    const { rows } = JSON.parse(out) as { rows: BenchRow[] };
    expect(rows.map(({ prompt_tokens: tokens, batch }) => [tokens, batch])).toEqual([
      [8, 1],
      [8, 2],
    ]);
    for (const row of rows) for (const figure of Object.values(row)) expect(figure).toBeGreaterThan(0);
    const file = join(folder, 'before.json');
    await writeFile(file, out);
    out = '';
    await benchCommand(parseBench([...sizes, '--compare', file]), running);
    expect(out).toMatch(/prompt +batch +first ms +prefill\/s +decode\/s\n +8 +1 +[\d.]+ \(\d+\.\d\d\)/);
    await writeFile(file, '{}');
    await expect(benchCommand(parseBench([...sizes, '--compare', file]), running)).rejects.toThrow(/no report/);
    const long = parseBench(['--model', model, '--prompt-tokens', '9000', '--device', 'onnx']);
    await expect(benchCommand(long, running)).rejects.toThrow(/context is 512/);
  } finally {
    written.mockRestore();
    await rm(folder, { recursive: true });
  }
}, 120_000);

test('options', () => {
  expect(() => parseBench([])).toThrow(UsageError);
  expect(() => parseBench(['--model', 'm', '--batches', '1,x'])).toThrow(/--batches takes a whole number/);
});
