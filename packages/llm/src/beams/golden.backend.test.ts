import { expect } from 'vitest';
import golden from '../../../../test-support/golden/prose4m-beams.json' with { type: 'json' };
import { prose4m } from '../../../../test-support/model-files.ts';
import { times } from '../../../../test-support/properties.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { beamSearch, type EarlyStopping, generateText, loadModel, openEngine, textModel } from '../index.ts';

/** How far scores may be apart: sums of a dozen log-probabilities in f32, some of them multiplied by the length. */
const near = (expected: number) => 2e-4 * Math.max(1, Math.abs(expected));

interface Found {
  readonly tokens: readonly number[];
  readonly score: number;
}

/** Scores are those of their places, and tokens too where no neighbour is as good. */
function compare(found: readonly Found[], expected: readonly Found[], what: string): void {
  expect(found.length, what).toBe(expected.length);
  for (const [i, { tokens, score }] of expected.entries()) {
    expect(Math.abs(found[i]!.score - score), `${what}: ${found[i]!.score}, not ${score}`).toBeLessThan(near(score));
    const tied = [expected[i - 1], expected[i + 1]].some(
      (other) => other && Math.abs(other.score - score) < near(score),
    );
    if (!tied) expect(found[i]!.tokens, what).toEqual(tokens);
  }
}

// scripts/golden-beams.py made them with transformers
conformance('beam search over the model of this repository', (device) => {
  test('finds the sequences and scores that transformers finds, as tokens and as texts', async (context) => {
    leaveToNode(context);
    if (backendName !== 'onnx') context.skip('a search over this model takes long here; others are compared beside');
    const model = await loadModel(prose4m, { device: device() });
    const { beams, maxTokens, cases } = golden;
    const engine = openEngine(model, { maxSequences: 2 * beams, maxSequenceTokens: 32, maxBatchTokens: 8 });
    // all in soaks: otherwise where ends come early, late and never, and one with two that are nearly the same
    const some = times > 1 ? cases : [5, 6, 7, 15].map((i) => cases[i]!);
    for (const { prompt, sequences, earlyStopping, ...given } of some) {
      const rules = { ...given, earlyStopping: earlyStopping as EarlyStopping, maxTokens, beams };
      const found = await beamSearch(engine, { ...rules, tokens: prompt, count: sequences.length });
      compare(found, sequences, JSON.stringify({ prompt, ...rules }));
    }
    expect(engine.stats().cache).toMatchObject({ sequences: 0, blocksUsed: 0 });

    const [{ prompt, sequences, stopTokens, lengthPenalty, earlyStopping }] = cases as [(typeof cases)[number]];
    const tokenizer = model.requireTokenizer();
    const result = await generateText({
      ...{ model: textModel(model, engine), prompt, maxTokens, stopTokens, beams, n: 3, lengthPenalty },
      earlyStopping: earlyStopping as EarlyStopping,
    });
    compare(result.samples as readonly Found[], sequences, 'generateText');
    for (const [i, sample] of result.samples.entries()) {
      const { tokens } = sequences[i]!;
      expect(sample.text).toBe(tokenizer.decode(tokens, { skipSpecialTokens: true }));
      expect(sample.finishReason).toBe(stopTokens.includes(tokens.at(-1)!) ? 'stop' : 'length');
      expect(sample.usage).toMatchObject({ inputTokens: prompt.length, outputTokens: tokens.length });
    }
    expect(result).toMatchObject({ score: result.samples[0]!.score, text: result.samples[0]!.text });
    expect(result.usage.outputTokens).toBe(sequences.reduce((sum, { tokens }) => sum + tokens.length, 0));
    await engine.dispose();
    await model.dispose();
  }, 120_000);
});
