import { afterAll, expect } from 'vitest';
import { prose4m } from '../../../../../test-support/model-files.ts';
import { conformance, leaveToNode, test } from '../../../../../test-support/suite.ts';
import { answerFormats, generateText, loadModel, openEngine, textModel } from '../../index.ts';

conformance('answers of a model', (device) => {
  const opened: { dispose(): unknown }[] = [];
  afterAll(async () => {
    for (const each of opened.splice(0)) await each.dispose();
  });

  test('a call that must come, and reasoning that ends at its budget', async (context) => {
    leaveToNode(context);
    const loaded = await loadModel(prose4m, { device: device() });
    const engine = openEngine(loaded, { maxSequences: 3, maxSequenceTokens: 400 });
    // workers of TypeScript, which Node takes with a loader
    const worker = new URL('../../grammar/testing/start-worker.js', import.meta.url);
    const answers = { ...answerFormats.hermes, reasons: () => true };
    const model = textModel(loaded, engine, { answers, grammars: { worker, milliseconds: 60_000 } });
    opened.push(model, engine, loaded);
    const parameters = { type: 'object', properties: { mood: { enum: ['glad', 'grave'] } }, required: ['mood'] };
    const tools = [{ name: 'feel', parameters }];
    const ask = { model, messages: [{ role: 'user', content: 'So?' }], tools, seed: 1, temperature: 1 } as const;
    const [must, thinking] = await Promise.all([
      generateText({ ...ask, toolChoice: 'required', reasoning: { enabled: false }, parallelToolCalls: false }),
      generateText({
        ...ask,
        tools: [],
        maxTokens: 16,
        template: { template: '{{ messages[0].content }}<think>' },
        reasoning: { budget: 3 },
      }),
    ]);
    expect(must).toMatchObject({ text: '', finishReason: 'tool-calls', toolCalls: [{ name: 'feel' }] });
    expect(['glad', 'grave']).toContain(JSON.parse(must.toolCalls[0]!.arguments).mood);
    expect(thinking.usage.reasoningTokens).toBeGreaterThanOrEqual(3);
    expect(thinking.usage.reasoningTokens).toBeLessThan(10);
    expect(thinking.text).not.toBe('');
    expect(thinking.text).not.toContain('</think>');
  }, 240_000);
});
