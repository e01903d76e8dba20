import { expect } from 'vitest';
import { needShared, needSharedJson } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { loadModel, openEngine } from '../index.ts';

const path = 'models/stories260K';

conformance('a GGUF file', (device) => {
  test.for([
    ['f32', 100],
    ['f16', 100],
    ['q8_0', 100],
    // four bits agree with f32 for 23 tokens
    ['q4_0', 20],
  ] as const)('stories260K in %s: the tokens that transformers gives', async ([type, most], context) => {
    if (type !== 'q8_0') leaveToNode(context);
    // a software GPU computes the same step many times slower
    const count = backendName.startsWith('webgpu') ? 20 : most;
    const bytes = await needShared(context, `${path}/stories260K-${type}.gguf`);
    const golden = (await needSharedJson(context, `${path}/golden-greedy.json`)) as Record<
      string,
      { readonly prompt: number[]; readonly tokens: number[] }
    >;
    const files = { label: type, open: (name: string) => (name === 'model.gguf' ? bytes : undefined) };
    const model = await loadModel(files, { device: device() });
    const { prompt, tokens } = golden['Once upon a time']!;
    expect(model.requireTokenizer().encode('Once upon a time')).toEqual(prompt);
    expect(model.config).toMatchObject({ bosTokenId: 1, eosTokenIds: [2], maxPositions: 512, tieWordEmbeddings: true });
    expect(model.deviations).toEqual([]);
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 128 });
    const got: number[] = [];
    for await (const token of engine.generate({ tokens: prompt, maxTokens: count })) got.push(token);
    expect(got).toEqual(tokens.slice(0, count));
    await engine.dispose();
    await model.dispose();
  });
});
