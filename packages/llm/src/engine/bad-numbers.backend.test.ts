import { isHeddleError } from '@heddle/tensor';
import { expect } from 'vitest';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import {
  beamSearch,
  draftModel,
  type Engine,
  type EngineOptions,
  type GenerationRequest,
  greedy,
  type LoadedModel,
  loadModel,
  openEngine,
  promptLookup,
  type Sampler,
  sampler,
} from '../index.ts';

/** The token whose row of the embedding is set to `value`: whoever has it in the prompt has logits that are no numbers. */
const poison = 15;
const poisoned = (value: number) =>
  tinyLlama((name, data) => {
    if (name === 'model.embed_tokens.weight') data.fill(value, poison * 8, (poison + 1) * 8);
  });
/** A head of which one row is `value`: nobody has usable logits. */
const badHead = (value: number) =>
  tinyLlama((name, data) => {
    if (name === 'lm_head.weight') data.fill(value, 5 * 8, 6 * 8);
  });

const samplers: Record<string, () => Sampler> = {
  greedy,
  drawing: () => sampler({ temperature: 1, topK: 4, seed: 2 }),
  'of its own': () => ({ name: 'first', sample: () => 0 }),
};

/** Others that the device has stages for. */
const staged: typeof samplers = {
  'drawing with all that changes logits': () =>
    sampler({
      ...{ temperature: 2, topP: 0.9, minP: 0.01, typicalP: 0.9, epsilonCutoff: 1e-4, etaCutoff: 1e-4, seed: 3 },
      ...{ repetitionPenalty: 1.2, presencePenalty: 0.1, noRepeatNgramSize: 3, badWords: [[4], [2, 5]] },
      ...{ logitBias: { 3: 1 }, allowedTokens: Uint32Array.of(0xffff) },
    }),
  'greedy after penalties': () => sampler({ temperature: 0, repetitionPenalty: 1.2 }),
};

/** What came of a request: its tokens, or the code of the error that ended it. */
async function outcome(engine: Engine, request: GenerationRequest): Promise<readonly number[] | string> {
  const tokens: number[] = [];
  try {
    for await (const token of engine.generate(request)) tokens.push(token);
    return tokens;
  } catch (error) {
    return `${(error as { code?: string }).code} after ${tokens.length}`;
  }
}

/** Ways in which an engine chooses tokens. */
const engines: Record<string, (model: LoadedModel) => EngineOptions> = {
  'one token at a time': () => ({}),
  'tokens guessed from the prompt': () => ({ speculation: promptLookup() }),
  'tokens guessed by a model': (model) => ({ speculation: draftModel(model) }),
  deterministic: () => ({ deterministic: true }),
};

conformance('requests whose logits are no numbers', (device) => {
  test.for(Object.keys(engines))('end in company, and the others as they do without: %s', async (way, context) => {
    leaveToNode(context);
    if (backendName.startsWith('webgpu') && way !== 'tokens guessed from the prompt')
      context.skip('a software GPU compiles the plans of each way; these have both');
    // nobody chooses the poison, and other rows stay as they are
    const files = tinyLlama((name, data) => {
      if (name === 'model.embed_tokens.weight') data.fill(Number.NaN, poison * 8, (poison + 1) * 8);
      if (name === 'lm_head.weight') data.fill(0, poison * 8, (poison + 1) * 8);
    });
    const model = await loadModel(files, { device: device() });
    const engine = openEngine(model, { maxSequences: 8, maxSequenceTokens: 24, ...engines[way]!(model) });
    const good = { tokens: [1, 2, 3, 1, 2, 3, 1], maxTokens: 6, sampler: greedy() };
    const right = await outcome(engine, good);
    expect(right).toHaveLength(6);
    const bad = Object.values({ ...samplers, ...staged }).map((own) => ({
      tokens: [1, 2, poison, 1, 2],
      maxTokens: 6,
      sampler: own(),
    }));
    const [first, ...others] = await Promise.all([good, ...bad].map((request) => outcome(engine, request)));
    expect(first).toEqual(right);
    expect(others).toEqual(bad.map(() => 'ERR_LOGITS after 0'));
    await engine.dispose();
    await model.dispose();
  });

  test('end a search of beams, whose places others get', async () => {
    const model = await loadModel(poisoned(Number.NaN), { device: device() });
    const engine = openEngine(model, { maxSequences: 3, maxSequenceTokens: 24 });
    const good = { tokens: [1, 2, 3], maxTokens: 3, beams: 2 };
    const right = await beamSearch(engine, good);
    await expect(beamSearch(engine, { ...good, tokens: [1, poison, 3] })).rejects.toMatchObject({ code: 'ERR_LOGITS' });
    expect(await beamSearch(engine, good)).toEqual(right);
    expect(engine.stats().running).toBe(0);
    await engine.dispose();
    await model.dispose();
  });

  test.for(Object.keys(samplers))('%s: end with a typed error, alone', async (name) => {
    for (const files of [poisoned(Number.NaN), badHead(Number.NaN), badHead(Number.POSITIVE_INFINITY)]) {
      const model = await loadModel(files, { device: device() });
      const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24 });
      const stream = engine.generate({ tokens: [1, poison, 3], maxTokens: 8, sampler: samplers[name]!() });
      const error: unknown = await stream.next().catch((thrown: unknown) => thrown);
      expect(isHeddleError(error, 'ERR_LOGITS')).toBe(true);
      expect(String(error)).toMatch(/request 0: .* must be finite, got .*(NaN|Infinity|none).* damaged weights/);
      expect(await stream.ended).toMatchObject({ reason: 'error', newTokens: 0 });
      await engine.dispose();
      await model.dispose();
    }
  });

  test('the error names the range of f16 where the model computes in it', async () => {
    const overflow = tinyLlama((name, data) => {
      if (/(gate|up)_proj/.test(name)) for (let i = 0; i < data.length; i++) data[i]! *= 30_000;
    });
    const model = await loadModel(overflow, { device: device(), dtype: 'f16' });
    const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 24 });
    for (const own of Object.values(samplers)) {
      const stream = engine.generate({ tokens: [1, 2, 3], maxTokens: 8, sampler: own() });
      await expect(stream.next()).rejects.toMatchObject({
        code: 'ERR_LOGITS',
        message: expect.stringMatching(/range of 65,504/),
      });
    }
    await engine.dispose();
    await model.dispose();
  });
});
