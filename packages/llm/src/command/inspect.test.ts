import { expect, test } from 'vitest';
import { inspectModel } from '../inspect/inspect-model.ts';
import { parseInspect } from './inspect.ts';
import { reportText } from './inspect-text.ts';

test('the report is a page', async () => {
  const text = reportText(await inspectModel('llama-7b', { length: 2048, memory: 24 * 2 ** 30 }));
  expect(text).toContain('llama-7b: llama, 6,738,415,616 parameters, context 2048\n');
  expect(text).toMatch(/^attention +2,147,483,648 +4\.00 GiB$/m);
  // layers that are alike are one row
  expect(text).toMatch(/^0-31 +mha \(32 x 128\) +202,383,360 +16\.0 KiB +32\.0 MiB +309\.3 GFLOP +554\.1 GFLOP/m);
  expect(text).toMatch(/^24\.0 GiB hold 1 sequence/m);
  expect(text.split('\n').filter((line) => line !== line.trimEnd())).toEqual([]);
});

test('options become numbers', () => {
  const args = ['--model', 'x', '--memory', '24GiB', '--context', '8192', '--batch', '4', '--cache-dtype', 'f32'];
  expect(parseInspect([...args, '--dtype', 'q4_k', '--json'])).toEqual({
    model: 'x',
    json: true,
    options: { dtype: 'q4_k', cacheDtype: 'f32', length: 8192, batch: 4, memory: 24 * 2 ** 30 },
  });
  const memory = (value: string) => parseInspect(['--model', 'x', `--memory=${value}`]).options.memory;
  expect([memory('80GB'), memory('1.5 MiB'), memory('4096')]).toEqual([80e9, 1.5 * 2 ** 20, 4096]);
});

test.each([
  [[], /inspect needs --model/],
  [['--model', 'x', '--memory', '24 parsecs'], /--memory takes bytes with a unit.*got '24 parsecs'/],
  [['--model', 'x', '--memory', '0'], /--memory takes/],
  [['--model', 'x', '--memory', '24toString'], /--memory takes/],
  [['--model', 'x', '--cache-dtype', 'q8_0'], /--cache-dtype takes f32, f16/],
  [['--model', 'x', '--context', '-1'], /--context/],
])('%j is refused', (args, message) => {
  expect(() => parseInspect(args)).toThrow(message);
});
