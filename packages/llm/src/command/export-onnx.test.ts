import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openDevice } from '@heddle/tensor';
import { InferenceSession, Tensor as Value } from 'onnxruntime-node';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { loadModel } from '../load-model.ts';
import { exportOnnxCommand, parseExportOnnx } from './export-onnx.ts';

const prose = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'heddle-onnx-'));
});
afterAll(() => rm(root, { recursive: true }));

test('a session that knows nothing of the model gives the same logits, for any length', async () => {
  const output = join(root, 'prose.onnx');
  const command = parseExportOnnx(['--model', prose, '--output', output, '--context', '64']);
  expect(await exportOnnxCommand(command, new AbortController().signal)).toBe(0);
  const session = await InferenceSession.create(output);
  expect([session.inputNames, session.outputNames]).toEqual([['tokens'], ['logits']]);
  const device = await openDevice('onnx');
  const model = await loadModel(prose, { device });
  for (const length of [1, 23]) {
    const tokens = Int32Array.from({ length }, (_, i) => 5 + 7 * i);
    const { logits } = await session.run({ tokens: new Value('int32', tokens, [length]) });
    const ours = await model.forward({ tokens: device.tensor(tokens) }).logits.data();
    const theirs = logits!.data as Float32Array;
    expect(theirs.length).toBe(ours.length);
    expect(theirs.reduce((most, value, i) => Math.max(most, Math.abs(value - ours[i]!)), 0)).toBeLessThan(1e-3);
  }
  await session.release();
  await model.dispose();
  await device.dispose();
}, 120_000);

test.for([
  [[], /needs --model/],
  [['--model', 'a'], /needs --output FILE\.onnx/],
  [['--model', 'a', '--output', 'b', '--context', '0'], /--context takes a whole number of at least 1/],
] as const)('%j is wrong use', ([args, message]) => {
  expect(() => parseExportOnnx(args)).toThrow(message);
});
