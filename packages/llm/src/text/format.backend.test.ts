import { afterEach, expect } from 'vitest';
import { prose4m } from '../../../../test-support/model-files.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import {
  choices,
  GrammarError,
  GrammarPool,
  generateText,
  greedy,
  jsonSchema,
  loadModel,
  openEngine,
  promptLookup,
  regex,
  type Speculation,
  type TextModel,
  textModel,
} from '../index.ts';

const person = jsonSchema(
  {
    type: 'object',
    properties: { name: { type: 'string', maxLength: 6 }, age: { type: 'integer', minimum: 0, maximum: 120 } },
    required: ['name', 'age'],
  },
  { whitespace: false },
);

conformance('texts of a form', (device) => {
  const opened: { dispose(): unknown }[] = [];
  afterEach(async () => {
    for (const each of opened.splice(0)) await each.dispose();
  });

  async function open(stepsInFlight: number, speculation?: Speculation): Promise<TextModel> {
    const model = await loadModel(prose4m, { device: device() });
    const engine = openEngine(model, {
      maxSequences: 5,
      maxSequenceTokens: 96,
      stepsInFlight,
      ...(speculation && { speculation }),
    });
    // workers of TypeScript, which Node takes with a loader
    const worker = new URL('../grammar/testing/start-worker.js', import.meta.url);
    const pool = new GrammarPool({ vocabulary: model.requireTokenizer().tokenBytes(), worker });
    opened.push(engine, pool, model);
    return { ...textModel(model, engine), grammars: () => pool };
  }

  test('each is of its form, beside free texts that stay as they are, and one that is refused', async (context) => {
    leaveToNode(context);
    const model = await open(2);
    const prompt = 'It was a cold evening, and';
    const free = { model, prompt, maxTokens: 12, temperature: 0 } as const;
    const alone = await generateText(free);
    const ask = (seed: number) => generateText({ model, prompt, format: person, temperature: 1, seed });
    const first = await ask(1);
    const [again, other, word, choice, beside, refused] = await Promise.allSettled([
      ask(1),
      ask(2),
      generateText({ model, prompt, format: regex('[a-z]{3,6}'), temperature: 0, maxTokens: 20 }),
      generateText({ model, prompt, format: choices(['yes', 'no', 'perhaps']), temperature: 1 }),
      generateText(free),
      generateText({ model, prompt, format: jsonSchema({ uniqueItems: true }), maxTokens: 5 }),
    ]);
    for (const result of [again, other, word, choice, beside]) if (result.status === 'rejected') throw result.reason;
    for (const result of [again, other])
      expect(JSON.parse(result.status === 'fulfilled' ? result.value.text : '')).toEqual({
        name: expect.any(String),
        age: expect.any(Number),
      });
    // the same seed gives the same text, alone or in company
    expect(again).toMatchObject({ value: { text: first.text, finishReason: 'stop' } });
    expect(word).toMatchObject({ value: { text: expect.stringMatching(/^[a-z]{3,6}$/), finishReason: 'stop' } });
    expect(['yes', 'no', 'perhaps']).toContain(choice.status === 'fulfilled' ? choice.value.text : '');
    expect(beside).toMatchObject({ value: { text: alone.text } });
    expect(refused).toMatchObject({ status: 'rejected', reason: expect.any(GrammarError) });
  }, 240_000);

  test('a text that is cut off is the beginning of one; with masks of the caller both hold', async (context) => {
    leaveToNode(context);
    const model = await open(1);
    const cut = await generateText({ model, prompt: 'Once', format: person, maxTokens: 3 });
    expect(cut.finishReason).toBe('length');
    expect('{"name":"'.startsWith(cut.text) || cut.text.startsWith('{"name":"')).toBe(true);
    const tokenizer = model.requireTokenizer();
    const allowedTokens = new Uint32Array(Math.ceil(model.config.vocabularySize / 32));
    for (const id of [...tokenizer.encode('a', { addSpecialTokens: false }), ...model.config.eosTokenIds])
      allowedTokens[id >> 5]! |= 1 << (id & 31);
    const only = { model, prompt: 'Once', allowedTokens } as const;
    expect((await generateText({ ...only, format: regex('[ab]{4}') })).text).toBe('aaaa');
    await expect(generateText({ ...only, format: regex('b+') })).rejects.toThrow(/no token may come next/);
  }, 240_000);

  test('what does not go together is told by name', async (context) => {
    leaveToNode(context);
    const model = await open(1);
    const ask = { model, prompt: 'Once', format: person };
    await expect(generateText({ ...ask, sampler: greedy() })).rejects.toThrow(
      /a format, tools and a budget of reasoning need a sampler of options/,
    );
    await expect(generateText({ ...ask, stopTokens: [] })).rejects.toThrow(/a format needs tokens that end the text/);
    const constraint = { allowed: async () => new Uint32Array(200) };
    expect(() => model.engine.generate({ tokens: [1], maxTokens: 2, constraint })).toThrow(
      /needs a sampler with allowedTokens/,
    );
  });

  test('guessed tokens are those that come without, and keep the form', async (context) => {
    leaveToNode(context);
    if (backendName.startsWith('webgpu')) context.skip('masks of guesses are those of tokens, which run here');
    const [plain, guessing] = [
      await open(2),
      await open(2, { ...promptLookup({ minMatch: 1, maxDrafts: 4 }), cost: () => -1 }), // which always pays
    ];
    const prompt = 'the cat and the dog and the cat and the';
    const asked = [
      { prompt, format: regex('( (cat|dog|and the)){6}'), temperature: 0 },
      { prompt, format: person, temperature: 1, seed: 4 },
      { prompt, temperature: 0, maxTokens: 24, repetitionPenalty: 0.5 },
    ];
    const write = (model: TextModel) => Promise.all(asked.map((each) => generateText({ model, ...each })));
    const [right, found] = [await write(plain), await write(guessing)];
    expect(found.map(({ text }) => text)).toEqual(right.map(({ text }) => text));
    expect(right[0]!.usage.speculation).toBeUndefined();
    const rights = found.map(({ usage }) => usage.speculation!.acceptedTokens);
    expect(rights.reduce((a, b) => a + b)).toBeGreaterThan(5);
  });
});
