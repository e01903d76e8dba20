import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { loadModel } from '@heddle/llm';
import { openDevice } from '@heddle/tensor';
import { expect, test } from 'vitest';
import { sharedMissing } from '../test-support/shared.ts';
import { bitsPerByte, splitText } from './bits-per-byte.ts';

test('the model of this repository predicts held-out text as its card says', async (context) => {
  const path = 'text/bronte.txt';
  const file = new URL(`../../shared/${path}`, import.meta.url);
  if (!existsSync(file)) context.skip(sharedMissing(path));
  const { heldOut } = splitText(fileURLToPath(file));
  const device = await openDevice('onnx');
  const model = await loadModel('examples/models/prose4m', { device });
  const bits = await bitsPerByte(model, model.requireTokenizer(), heldOut.slice(0, 6000), 0);
  await model.dispose();
  await device.dispose();
  expect(bits).toBeLessThan(1.9);
  expect(bits).toBeGreaterThan(1.5); // it has not seen this text
}, 240_000);
