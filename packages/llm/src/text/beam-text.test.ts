import { openReference } from '@heddle/tensor/reference';
import { expect, test } from 'vitest';
import { scriptedModel } from '../../../../test-support/scripted-model.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import {
  beamSearch,
  choices,
  type GenerateTextOptions,
  generateText,
  loadModel,
  openEngine,
  textModel,
} from '../index.ts';

test('what does not go with a search is refused by name', async () => {
  const model = scriptedModel(['x~']);
  for (const [options, message] of [
    [
      { beams: 2, temperature: 1 },
      /generateText: beams follow the model's own probabilities, without temperature; got/,
    ],
    [{ beams: 2, repetitionPenalty: 1.1 }, /without repetitionPenalty/],
    [{ beams: 2, stop: 'a' }, /without stop/],
    [{ beams: 2, logprobs: 2 }, /without logprobs/],
    [{ beams: 2, format: choices(['a']) }, /without format/],
    [{ beams: 2, n: 3 }, /beams must be an integer from 1, and n at most as many, got 2 and 3/],
    [{ beams: 0 }, /beams must be an integer from 1, .* got 0 and 1/],
    [{ beams: '4' }, /beams must be an integer from 1, .* got string 4 and 1/],
    [{ lengthPenalty: 2 }, /generateText: lengthPenalty is of a search with beams, got no beams/],
    [{ earlyStopping: true }, /generateText: earlyStopping is of a search with beams/],
    [{ beams: 2 }, /generateText: beams need an engine with release, got one without/],
  ] as const)
    await expect(
      generateText({ model, prompt: 'a', ...(options as unknown as Partial<GenerateTextOptions>) }),
    ).rejects.toThrow(message);
  expect(model.requests).toEqual([]);
});

test('the sequences of beamSearch, with what a signal and a deadline say', async () => {
  await using device = await openReference();
  const model = await loadModel(tinyLlama(), { device });
  const engine = openEngine(model, { maxSequences: 8, maxSequenceTokens: 32 });
  const [tokens, stopTokens] = [[3, 7, 1, 2, 9, 4, 11, 8, 5, 6, 2, 3, 1, 4, 7, 7, 2, 1, 9], [5]];
  const rules = { beams: 3, maxTokens: 5, lengthPenalty: 0.5, stopTokens };
  const right = await beamSearch(engine, { ...rules, tokens, count: 3 });
  const asked = { model: textModel(model, engine), prompt: tokens, ...rules };
  const found = await generateText({ ...asked, n: 3, deadlineMs: 60_000 });
  expect(found.samples.map(({ tokens, score }) => ({ tokens, score }))).toEqual(right);
  // whole blocks of the prompt are cached from the search before
  expect(found.usage).toMatchObject({ inputTokens: 19, cachedTokens: 16 });
  await expect(generateText({ ...asked, deadlineMs: 1e-6 })).rejects.toMatchObject({ code: 'ERR_DEADLINE' });
  const why = new Error('enough');
  await expect(generateText({ ...asked, signal: AbortSignal.abort(why) })).rejects.toBe(why);
  await engine.dispose();
  await model.dispose();
});
