import { isHeddleError, openDevice } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { tinyLlama } from '../../../test-support/tiny-llama.ts';
import { loadModel, loadTokenizer, openEngine } from './index.ts';

test('a model without a tokenizer says why there is none', async () => {
  await using device = await openReference();
  await using model = await loadModel(tinyLlama(), { device });
  expect(model.tokenizer).toBeUndefined();
  expect(() => model.requireTokenizer()).toThrow('tokenizer: tiny llama has no tokenizer.json');
  expect(() => model.requireTokenizer()).toThrow(expect.objectContaining({ code: 'ERR_TOKENIZER' }));
});

test('a dtype in which no weights are stored is refused by name', async () => {
  await using device = await openReference();
  const dtype = 'int8' as 'f16';
  await expect(loadModel(tinyLlama(), { device, dtype })).rejects.toThrow(
    expect.objectContaining({
      code: 'ERR_ARGUMENT',
      message: 'loadModel: dtype takes f32, f16, q8_0, q4_0, mxfp4, q4_k, q5_k, q6_k, got int8',
    }),
  );
});

test('what does not fit into the budget, weights or what is made beside them, leaves nothing on the device', async () => {
  const roomy = await openReference();
  const model = await loadModel(tinyLlama(), { device: roomy });
  const bytes = roomy.memory().live;
  await model.dispose();
  expect(roomy.memory().live).toBe(0);
  await roomy.dispose();

  for (let budget = bytes - 1; budget > 0; budget -= 256) {
    const device = await openReference({ memoryBudget: budget });
    const error = await loadModel(tinyLlama(), { device }).catch((thrown: unknown) => thrown);
    expect(isHeddleError(error, 'ERR_OUT_OF_MEMORY')).toBe(true);
    expect(device.memory().live).toBe(0);
    await device.dispose();
  }
});

test('an engine that cannot be put together leaves nothing on the device', async () => {
  const device = await openReference();
  const model = await loadModel(tinyLlama(), { device });
  const before = device.memory().live;
  for (const wrong of [
    { maxBatchTokens: 0 },
    { maxSequences: 0 },
    { maxSequenceTokens: 0 },
    { maxSequenceTokens: 1.5 },
  ])
    expect(() => openEngine(model, wrong)).toThrow(expect.objectContaining({ code: 'ERR_ARGUMENT' }));
  expect(device.memory().live).toBeLessThanOrEqual(before);
  await model.dispose();
  await device.dispose();
});

test('calls that a program without types gets wrong are refused by name', async () => {
  await using device = await openReference();
  type Call = (...args: unknown[]) => Promise<unknown>;
  const [load, open, tokenizer] = [loadModel as Call, openDevice as Call, loadTokenizer as Call];
  const cases: [Promise<unknown>, RegExp][] = [
    [load(tinyLlama()), /^loadModel: takes options \{ device, dtype, .* got undefined$/],
    [load(tinyLlama(), {}), /^loadModel: needs a device, as openDevice\(\) gives one, got undefined$/],
    [load(tinyLlama(), { device: 'onnx' }), /^loadModel: needs a device/],
    [load(tinyLlama(), { device, dType: 'f16' }), /^loadModel: has no option dType; its options are device, dtype/],
    [load(undefined, { device }), /^open model: takes a path or \{ label, open\(file\) \}, got undefined$/],
    [
      load({ label: 'x', open: () => new ArrayBuffer(8) }, { device }),
      /open\('config.json'\) must give .* gave ArrayBuffer$/,
    ],
    [
      open('reference', { budget: 5 }),
      /^openDevice: has no option budget; its options are memoryBudget, debug, webgpu, onnx$/,
    ],
    [tokenizer(7), /^loadTokenizer: takes a path or .* got number 7$/],
  ];
  const calls = await Promise.allSettled(cases.map(([call]) => call));
  for (const [i, [, message]] of cases.entries())
    await expect(Promise.reject((calls[i] as PromiseRejectedResult).reason)).rejects.toThrow(
      expect.objectContaining({ code: 'ERR_ARGUMENT', message: expect.stringMatching(message) }),
    );
});
