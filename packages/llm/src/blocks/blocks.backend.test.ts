import { adamw, createTrainStep } from '@heddle/trainer';
import { expect } from 'vitest';
import { readCheckpoint } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { type CausalLm, createModel, gpt2Names, loadModel, openEngine, transformerBlock } from '../index.ts';
import { nextTokenLoss, trainableLm } from '../training.ts';
import type { BlocksConfig } from './block-layout.ts';

const block = transformerBlock();
/** Every kind of every part, each once beside others. */
const mixed: BlocksConfig = {
  vocabularySize: 24,
  width: 16,
  heads: 4,
  maxPositions: 32,
  feedForwardWidth: 24,
  initializer_range: 0.2,
  blocks: [
    block,
    transformerBlock({ attention: 'mqa', norm: 'rms', normPosition: 'post', activation: 'swiglu', positions: 'alibi' }),
    transformerBlock({ attention: 'gqa', norm: 'rms', activation: 'geglu', positions: 'rotary', bias: false }),
    transformerBlock({
      attention: 'gqa-2',
      normPosition: 'post',
      positions: 'sinusoidal',
      heads: 2,
      feedForwardWidth: 8,
    }),
  ],
};
const tokens = [3, 17, 5, 9, 22, 1, 14, 8];
const numbers = async (x: { data(): Promise<unknown> }) => Array.from((await x.data()) as Float32Array);
const furthest = (a: readonly number[], b: readonly number[]) =>
  a.reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);

conformance('models of blocks', (device) => {
  test('any mix goes on from a cache as it computes a whole text', async (context) => {
    leaveToNode(context);
    await using model = await createModel(mixed, { device: device(), seed: 5 });
    expect(model.config.layout.embedding).toMatchObject({ positions: { size: 32 }, sinusoidal: true });
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 24, maxBatchTokens: 8 });
    const generated: number[] = [];
    for await (const token of engine.generate({ tokens, maxTokens: 4 })) generated.push(token);
    await engine.dispose();
    const text = [...tokens, ...generated];
    const logits = await model.logits([text]);
    const rows = await numbers(logits);
    logits.dispose();
    for (const [i, token] of generated.entries()) {
      const row = rows.slice((tokens.length + i - 1) * 24, (tokens.length + i) * 24);
      expect(Math.max(...row) - row[token]!).toBeLessThan(1e-4);
    }
  });

  for (const family of ['gpt2', 'llama'] as const)
    test(`the weights of ${family} are those of blocks`, async (context) => {
      leaveToNode(context);
      const open = async (name: string) => (await readCheckpoint(`${family}/${name}`)) ?? undefined;
      const loaded = await loadModel({ label: family, open }, { device: device() });
      const { vocabularySize, hiddenSize: width, maxPositions, layout, layers, tieWordEmbeddings } = loaded.config;
      const { mixer, feedForward } = layout.layers[0]!;
      if (mixer.part.kind !== 'attention' || feedForward.part.kind === 'experts') throw new Error('an attention layer');
      const made = transformerBlock({
        attention: `gqa-${mixer.part.keyValueHeads}`,
        epsilon: mixer.before!.epsilon,
        ...(family === 'gpt2'
          ? { activation: 'gelu-tanh' }
          : {
              ...{ norm: 'rms', activation: 'swiglu', positions: 'rotary', bias: false },
              rotaryBase: mixer.part.rotary!.theta,
            }),
      });
      await using model = await createModel(
        {
          ...{ vocabularySize, width, maxPositions, tieWordEmbeddings, heads: mixer.part.heads },
          feedForwardWidth: feedForward.part.down.inSize,
          blocks: Array.from({ length: layers }, () => made),
          ...(family === 'gpt2' && { names: gpt2Names }),
        },
        { device: device() },
      );
      const theirs = new Map(loaded.parameters.map((parameter) => [parameter.name, parameter]));
      const shapes = (of: CausalLm) => new Map(of.parameters.map(({ name, shape }) => [name, shape]));
      expect(shapes(model)).toEqual(shapes(loaded));
      await device().realize(
        [],
        model.parameters.map((parameter) => parameter.assign(theirs.get(parameter.name)!)),
      );
      const logitsOf = async (of: CausalLm) => {
        const logits = await of.logits([tokens]);
        const values = await numbers(logits);
        logits.dispose();
        return values;
      };
      expect(furthest(await logitsOf(model), await logitsOf(loaded))).toBeLessThan(1e-5);
      await loaded.dispose();
    });

  test('are trained, with dropout that follows its key, also where layers are computed again', async (context) => {
    leaveToNode(context);
    if (backendName.startsWith('webgpu'))
      context.skip('its steps are made of the same kernels as those of other models');
    const dropping = { ...mixed, blocks: mixed.blocks.slice(0, 2).map((each) => ({ ...each, dropout: 0.2 })) };
    const cut = (from: number) => device().tensor(Int32Array.from(tokens.slice(from, from + 7)), { shape: [1, 7] });
    const losses = async (seed: number, checkpointing: 'none' | 'every', steps: number) => {
      await using model = await createModel(dropping, { device: device(), seed: 5 });
      const optimizer = adamw({ learningRate: 0.02 });
      using step = createTrainStep({ model: trainableLm(model), loss: nextTokenLoss, optimizer, checkpointing });
      const found: number[] = [];
      for (let i = 0; i < steps; i++) {
        const dropoutKey = device().tensor(Uint32Array.of(seed, i));
        found.push((await step({ tokens: cut(0), targets: cut(1), dropoutKey } as never)).loss);
      }
      return found;
    };
    const first = await losses(1, 'none', 8);
    expect(first.at(-1)! / first[0]!).toBeLessThan(0.7);
    const again = await losses(1, 'every', 2);
    expect(furthest(again, first)).toBeLessThan(1e-4);
    expect((await losses(2, 'none', 1))[0]).not.toBeCloseTo(first[0]!, 3);
  });
});
