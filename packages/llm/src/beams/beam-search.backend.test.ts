import { expect, vi } from 'vitest';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { beamSearch, type CausalLm, loadModel, openEngine } from '../index.ts';
import { Beams } from './beams.ts';

/** The beams with every continuation computed from its first token on. */
async function searched(model: CausalLm, prompt: readonly number[], rules: ConstructorParameters<typeof Beams>[0]) {
  const beams = new Beams(rules);
  const V = model.config.vocabularySize;
  while (!beams.done) {
    const found = [];
    for (const { tokens } of beams.running) {
      const logits = await model.logits([[...prompt, ...tokens]]);
      const row = [...((await logits.data()) as Float32Array).slice(-V)];
      logits.dispose();
      const total = Math.log(row.reduce((sum, logit) => sum + Math.exp(logit), 0));
      const all = row.map((logit, token) => ({ token, logprob: logit - total }));
      found.push(all.sort((a, b) => b.logprob - a.logprob).slice(0, beams.width));
    }
    beams.advance(found);
  }
  return beams.finished;
}

conformance('beam search', (device) => {
  test('gives the sequences and scores of a search that shares nothing, beside other requests; each token is computed once', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const engine = openEngine(model, { maxSequences: 8, maxSequenceTokens: 32 });
    const tokens = [3, 7, 1, 2, 9, 4, 11, 8, 5, 6, 2, 3, 1, 4, 7, 7, 2, 1, 9];
    const request = { tokens, maxTokens: 6, stopTokens: [5] };
    const rules = { beams: 4, maxTokens: 6, lengthPenalty: 1, earlyStopping: false, stopTokens: new Set([5]) } as const;
    const right = await searched(model, tokens, rules);
    const before = engine.stats();
    const found = await beamSearch(engine, { ...request, count: 4 });
    expect(found.map((each) => each.tokens)).toEqual(right.map((each) => each.tokens));
    for (const [i, { score }] of found.entries()) expect(score).toBeCloseTo(right[i]!.score, 3);
    // the prompt once, then one row for each beam and token
    const rows = engine.stats().computedTokens - before.computedTokens;
    expect(rows).toBeLessThanOrEqual(tokens.length + 4 * 5);
    expect(engine.stats()).toMatchObject({ running: 0, waiting: 0, cache: { sequences: 0, blocksUsed: 0 } });
    // beside another search, where not all fit
    const crowded = openEngine(model, { maxSequences: 3, maxSequenceTokens: 32 });
    const both = await Promise.all([
      beamSearch(crowded, { ...request, count: 4 }),
      beamSearch(crowded, { tokens: [1, 2], maxTokens: 4, beams: 2, lengthPenalty: 0, earlyStopping: true }),
    ]);
    expect(both[0].map((each) => each.tokens)).toEqual(right.map((each) => each.tokens));
    expect(both[1]).toHaveLength(1);
    expect(crowded.stats().cache).toMatchObject({ sequences: 0, blocksUsed: 0 });
    await crowded.dispose();
    // one that is aborted leaves nothing
    const controller = new AbortController();
    const long = { tokens: [3, 7], maxTokens: 30, beams: 4, lengthPenalty: 1, earlyStopping: false } as const;
    const aborted = beamSearch(engine, { ...long, signal: controller.signal });
    setTimeout(() => controller.abort(new Error('enough')), 5);
    await expect(aborted).rejects.toThrow('enough');
    // nothing but the step that was on its way
    await vi.waitFor(() =>
      expect(engine.stats()).toMatchObject({ running: 0, cache: { sequences: 0, blocksUsed: 0 } }),
    );
    for (const [wrong, message] of [
      [{ beams: 0 }, /beams and count are integers from 1/],
      [{ count: 5 }, /count at most beams; got 4, 5/],
      [{ earlyStopping: 1 }, /earlyStopping is true, false or 'never'/],
      [{ beams: 11 }, /may be 20, got 11 beams and 1 end tokens/],
      [{ maxTokens: 0 }, /maxTokens must be a positive integer, got 0/],
      [{ width: 2 }, /beamSearch: has no option width/],
    ] as const)
      await expect(beamSearch(engine, { ...request, ...(wrong as object) })).rejects.toThrow(message);
    await engine.dispose();
    await model.dispose();
  }, 240_000);

  test('samples of one prompt share its cache to the last token, and a parent with other tokens gives nothing', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const engine = openEngine(model, { maxSequences: 4, maxSequenceTokens: 32 });
    const tokens = [3, 7, 1, 2, 9, 4, 11, 8, 5, 6];
    const collect = async (request: Parameters<typeof engine.generate>[0]) => {
      const all: number[] = [];
      for await (const token of engine.generate(request)) all.push(token);
      return all;
    };
    const alone = await collect({ tokens, maxTokens: 5 });
    const other = await collect({ tokens: [9, ...tokens.slice(1)], maxTokens: 5 });
    const before = engine.stats().computedTokens;
    const found = await Promise.all([
      collect({ id: 'first', tokens, maxTokens: 5 }),
      collect({ parent: 'first', tokens, maxTokens: 5 }),
      collect({ parent: 'first', tokens, maxTokens: 5 }),
    ]);
    expect(found).toEqual([alone, alone, alone]);
    expect(engine.stats().computedTokens - before).toBe(10 + 4 + 2 * 5);
    const mixed = [
      collect({ id: 'one', tokens, maxTokens: 5 }),
      collect({ parent: 'one', tokens: [9, ...tokens.slice(1)], maxTokens: 5 }),
      collect({ parent: 'nobody', tokens, maxTokens: 5 }),
    ];
    expect(await Promise.all(mixed)).toEqual([alone, other, alone]);
    await engine.dispose();
    await model.dispose();
  });
});
