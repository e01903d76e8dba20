import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { generateText, type OpenedTextModel, openTextModel, streamText, textModel } from '../index.ts';

const path = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));
const prompt = 'Once upon a time';

let model: OpenedTextModel;
beforeAll(async () => {
  model = await openTextModel(path, { device: 'onnx', maxSequences: 4, maxSequenceTokens: 64 });
}, 60_000);
afterAll(() => model.dispose());

test('the most likely text is that of the engine, and that of the command', async () => {
  const { text, tokens, usage, finishReason } = await generateText({ model, prompt, temperature: 0, maxTokens: 12 });
  expect(text).toBe(' of time,\nAnd, as I have been, I');
  const alone: number[] = [];
  const request = { tokens: model.requireTokenizer().encode(prompt), maxTokens: 12 };
  for await (const token of model.engine.generate(request)) alone.push(token);
  expect(tokens).toEqual(alone);
  expect(finishReason).toBe('length');
  expect(usage).toMatchObject({ inputTokens: 6, outputTokens: 12, totalTokens: 18, reasoningTokens: 0 });
});

test('a seed gives its text again, in pieces or at once, beside others and with parts of one’s own', async () => {
  const options = { prompt, seed: 7, maxTokens: 16 };
  const { text } = await generateText({ model, ...options });
  const [again, pieces, other, { samples }] = await Promise.all([
    generateText({ model: textModel(model.model, model.engine), ...options }),
    (async () => {
      const all: string[] = [];
      for await (const piece of streamText({ model, ...options })) all.push(piece);
      return all;
    })(),
    generateText({ model, ...options, seed: 8 }),
    generateText({ model, ...options, n: 2 }),
  ]);
  expect([again.text, pieces.join(''), samples[0]!.text]).toEqual([text, text, text]);
  expect(pieces.length).toBeGreaterThan(4);
  expect(other.text).not.toBe(text);
  expect(samples[1]!.text).not.toBe(text);
});

test('log-probabilities are those of the model, whatever the sampler does', async () => {
  const options = { model, prompt, maxTokens: 6, logprobs: 3 };
  const greedy = await generateText({ ...options, temperature: 0 });
  expect(greedy.logprobs!.map(({ token }) => token)).toEqual(greedy.tokens);
  const logits = (await (
    await model.model.logits([[...model.requireTokenizer().encode(prompt), ...greedy.tokens]])
  ).data()) as Float32Array;
  const V = model.model.config.vocabularySize;
  for (const [i, { token, logprob, top }] of greedy.logprobs!.entries()) {
    const row = logits.subarray((5 + i) * V, (6 + i) * V);
    const high = row.reduce((a, b) => Math.max(a, b));
    const total = high + Math.log(row.reduce((sum, logit) => sum + Math.exp(logit - high), 0));
    expect(logprob).toBeCloseTo(row[token]! - total, 4);
    expect(top.map((each) => each.token)).toEqual([...row.keys()].sort((a, b) => row[b]! - row[a]!).slice(0, 3));
    expect(top[0]).toEqual({ token, logprob });
    expect(top[2]!.logprob).toBeCloseTo(row[top[2]!.token]! - total, 4);
  }
  // drawn, with the same model; and chosen on the host
  const drawn = await generateText({ ...options, temperature: 5, seed: 3, logprobs: 0 });
  expect(drawn.logprobs!.map(({ top }) => top.length)).toEqual([0, 0, 0, 0, 0, 0]);
  const host = { name: 'host', sample: () => greedy.tokens[0]! };
  const [first] = (await generateText({ ...options, sampler: host, maxTokens: 1 })).logprobs!;
  expect(first!.logprob).toBeCloseTo(greedy.logprobs![0]!.logprob, 5);
  expect(first!.top.map(({ token }) => token)).toEqual(greedy.logprobs![0]!.top.map(({ token }) => token));
  expect((await generateText({ model, prompt, maxTokens: 1 })).logprobs).toBeUndefined();
  await expect(generateText({ ...options, logprobs: 21 })).rejects.toThrow(/logprobs must be from 0 to 20, got 21/);
  expect(() => model.engine.generate({ tokens: [1], maxTokens: 1, topLogprobs: -1 })).toThrow(
    /topLogprobs must be from 0 to 20/,
  );
});

test('what was opened for a text is freed, also where opening fails', async () => {
  await expect(openTextModel(path, { device: 'onnx', maxSequences: 0 })).rejects.toThrow(
    /maxSequences must be a positive integer/,
  );
  await expect(openTextModel(path, { device: 'onnx', sequences: 3 } as never)).rejects.toThrow(
    /openTextModel: has no option sequences; its options are device, .*maxSequences/,
  );
  const { device } = model.model;
  const before = device.memory().live;
  const second = await openTextModel(path, { device, maxSequences: 1, maxSequenceTokens: 32 });
  await generateText({ model: second, prompt, maxTokens: 2, repetitionPenalty: 1.2 });
  await second.dispose();
  await second.dispose();
  expect(device.memory().live).toBeLessThanOrEqual(before);
  await expect(generateText({ model: second, prompt })).rejects.toThrow(/engine was disposed of/);
});
