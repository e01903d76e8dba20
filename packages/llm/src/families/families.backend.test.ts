import { flash } from '@heddle/attention';
import { openSequence, pagedCache } from '@heddle/kvcache';
import { crossEntropy, type Device, gradients } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { readCheckpoint, readShared, sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { ForwardStep } from '../engine/steps/forward-step.ts';
import { type LoadedModel, type LoadModelOptions, loadModel, openEngine } from '../index.ts';

/** Checkpoints of `../shared` with what transformers computes for them. */
const sharedFixtures = [
  'llama-mha',
  'llama-mqa',
  'llama3-rope-scaled',
  'llama-yarn',
  'mistral-sliding',
  'ministral',
  'qwen2',
  'qwen3',
  'phi3',
  'phi3-longrope',
  'gemma2',
  'gemma3',
  'gemma4',
  'gemma4-k-is-v',
  'smollm3',
  'olmo2',
  'olmo3',
  'granite',
  'granite4',
  'gpt2',
  'lfm2',
  'qwen3_5',
  'mixtral',
  'qwen3-moe',
  'gpt-oss',
  'qwen3-next',
  'deepseek-v3',
] as const;
/** This repository's own, in `test-support/checkpoints`: smaller ones of other sizes, so that every family is tested anywhere. */
const ownFixtures = [
  'own/llama',
  'own/llama-mqa-tied',
  'own/llama3',
  'own/llama-yarn',
  'own/mistral',
  'own/ministral',
  'own/qwen2',
  'own/qwen3',
  'own/phi3',
  'own/phi3-longrope',
  'own/gemma2',
  'own/gemma3',
  'own/gemma4',
  'own/gemma4-shared',
  'own/smollm3',
  'own/olmo2',
  'own/olmo3',
  'own/granite',
  'own/granite4',
  'own/granite4-experts',
  'own/gpt2',
  'own/lfm2',
  'own/qwen3_5',
  'own/mixtral',
  'own/qwen3-moe',
  'own/gpt-oss',
  'own/qwen3-next',
  'own/deepseek-v3',
  'own/glm4',
  'own/cohere2',
] as const;
const fixtures = [...sharedFixtures, ...ownFixtures];
type Fixture = (typeof fixtures)[number];

/** A file of a checkpoint; undefined where it is missing. */
const readFixture = (name: Fixture, file: string) =>
  name.startsWith('own/') ? readCheckpoint(`${name.slice(4)}/${file}`) : readShared(`fixtures/models/${name}/${file}`);
/** Of what the two have in common the larger ones are enough. */
const hasShared = (await readShared('fixtures/models/llama-mqa/config.json')) !== undefined;

/** Whether a checkpoint of this repository is of a family that one of `../shared` tests, too, and that is there. */
const inShared = (name: Fixture) => hasShared && name.startsWith('own/') && !onlyHere.includes(name);
const onlyHere: readonly Fixture[] = ['own/granite4-experts', 'own/glm4', 'own/cohere2'];

/**
 * A software GPU compiles the kernels of each family for seconds: there, those run whose layers differ from a Llama's in what
 * kernels compute. The others differ in names, sizes and tables.
 */
const onWebGpu: Readonly<Record<'plain' | 'cached' | 'trained', readonly Fixture[]>> = {
  plain: ['llama-mqa', 'ministral', 'phi3-longrope', 'gemma3', 'olmo3', 'gpt2', 'qwen3_5', 'gpt-oss', 'own/cohere2'],
  cached: [
    'llama-mqa',
    'phi3-longrope',
    'gemma2',
    'gemma4',
    'olmo3',
    'granite4',
    'qwen3-next',
    'deepseek-v3',
    'own/granite4-experts',
  ],
  trained: ['gpt2'],
};

/**
 * What is rounding of f32. Where Gemma 4 has embeddings for each layer, of 8 and 4 values in these checkpoints, it norms products with
 * gelu, which may all be in its tail, where f32 cancels. Delta nets norm what their states give, which is small.
 */
const tolerance = (
  name: Fixture,
): { readonly fixture: number; readonly chunks: number; readonly gradients: number } => {
  if (name.endsWith('gemma4')) return { fixture: 3e-4, chunks: 3e-4, gradients: 3e-4 };
  return { fixture: 1e-4, chunks: recurrent.some((each) => name.endsWith(each)) ? 2e-5 : 1e-5, gradients: 1e-4 };
};
/** Norms of what their states give enlarge the roundings of products, which differ by rows on a GPU. */
const recurrent = ['granite4', 'granite4-experts', 'qwen3_5', 'qwen3-next'];

type Context = Pick<TestContext, 'skip'>;
const softwareGpu = backendName.startsWith('webgpu');

function leaveOut(context: Context, name: Fixture, listed: readonly Fixture[]): void {
  leaveToNode(context);
  const own = name.startsWith('own/');
  const like = own && !hasShared ? name.slice(4) : name;
  if (softwareGpu && !listed.some((each) => each === name || each === like))
    context.skip('its kernels are those of another family, which runs here');
}

async function load(
  device: Device,
  context: Context,
  name: Fixture,
  options: Omit<LoadModelOptions, 'device'> = {},
): Promise<LoadedModel> {
  if ((await readFixture(name, 'config.json')) === undefined) context.skip(sharedMissing(`fixtures/models/${name}`));
  const files = { label: name, open: (file: string) => readFixture(name, file) };
  return await loadModel(files, { device, ...options });
}

async function expected(context: Context, name: Fixture) {
  const bytes = await readFixture(name, 'expected.safetensors');
  const file = await openSafetensors(bytes ?? context.skip(sharedMissing(`fixtures/models/${name}`)));
  const floats = async (tensor: string) => new Float32Array((await file.read(tensor)).buffer);
  const integers = async (tensor: string) => new Int32Array((await file.read(tensor)).buffer);
  const [B, L] = file.info('input_ids').shape as [number, number];
  const rows = (values: Int32Array) => Array.from({ length: B }, (_, i) => [...values.subarray(i * L, (i + 1) * L)]);
  return {
    ids: rows(await integers('input_ids')),
    mask: rows(await integers('attention_mask')),
    logits: await floats('logits'),
    padded: await floats('logits_left_padded'),
    hidden: (layer: number) => floats(`hidden_${layer}`),
    prompt: [...(await integers('greedy_prompt'))],
    greedy: [...(await integers('greedy_tokens'))],
    /** The smallest difference of the two best logits on the way, where the fixture says it. */
    gap: file.has('greedy_gap') ? (await floats('greedy_gap'))[0]! : Number.POSITIVE_INFINITY,
  };
}

/** The largest difference, over the rows of V values that count. */
function furthest(a: ArrayLike<number>, b: ArrayLike<number>, V = 1, counts: readonly number[] = []): number {
  expect(a.length).toBe(b.length);
  let most = 0;
  for (let i = 0; i < a.length; i++)
    if (counts[Math.floor(i / V)] !== 0) most = Math.max(most, Math.abs(a[i]! - b[i]!));
  return most;
}

conformance('families against transformers', (device) => {
  test.for(fixtures)('%s: logits, plain and left-padded, and hidden states', async (name, context) => {
    leaveOut(context, name, onWebGpu.plain);
    const { ids, mask, logits, padded, hidden } = await expected(context, name);
    const model = await load(device(), context, name);
    expect(model.deviations).toEqual([]);
    expect(model.notes).toEqual([]);
    const { vocabularySize: V, layers, hiddenSize } = model.config;
    const plain = await model.logits(ids);
    expect(plain.shape).toEqual([ids.length, ids[0]!.length, V]);
    expect(furthest((await plain.data()) as Float32Array, logits)).toBeLessThan(tolerance(name).fixture);
    const masked = await model.logits(ids, { attentionMask: mask });
    expect(furthest((await masked.data()) as Float32Array, padded, V, mask.flat())).toBeLessThan(
      tolerance(name).fixture,
    );
    const tokens = device().tensor(Int32Array.from(ids.flat()), { shape: [ids.length, ids[0]!.length] });
    const wanted = Array.from({ length: layers + 1 }, (_, layer) => layer);
    const batch = model.forward({ tokens, hidden: wanted });
    await device().realize([...batch.hidden, batch.logits]);
    for (const [layer, states] of batch.hidden.entries()) {
      expect(states.shape).toEqual([ids.length, ids[0]!.length, hiddenSize]);
      expect(furthest((await states.data()) as Float32Array, await hidden(layer)), `layer ${layer}`).toBeLessThan(
        tolerance(name).fixture,
      );
    }
    expect(furthest((await batch.logits.data()) as Float32Array, logits)).toBeLessThan(tolerance(name).fixture);
    for (const tensor of [plain, masked, tokens, ...batch.hidden, batch.logits]) tensor.dispose();
    await model.dispose();
  });

  test.for(fixtures)('%s: greedy tokens, chunks of 1, 3, 7 and 16 against one pass', async (name, context) => {
    leaveOut(context, name, onWebGpu.cached);
    const { prompt, greedy, gap } = await expected(context, name);
    const model = await load(device(), context, name);
    const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 64 });
    const tokens: number[] = [];
    for await (const token of engine.generate({ tokens: prompt, maxTokens: greedy.length })) tokens.push(token);
    if (gap > 1e-4) expect(tokens).toEqual(greedy);
    else expect(tokens).toHaveLength(greedy.length);
    await engine.dispose();

    if (inShared(name)) {
      await model.dispose();
      return;
    }
    const sequence = [...prompt, ...greedy].slice(0, name.startsWith('own/') ? 28 : 40);
    const whole = await model.logits([sequence]);
    const V = model.config.vocabularySize;
    const full = (await whole.data()) as Float32Array;
    // blocks of 4, so that windows give back what is out of them
    const cache = pagedCache(device(), {
      shape: model.kvShape,
      maxSequences: 1,
      maxSequenceTokens: 64,
      maxBatchTokens: 16,
      blockSize: 4,
    });
    const chosen = device().variable(Int32Array.of(0), { dtype: 'i32' });
    const step = new ForwardStep(model, flash(), cache, chosen, 16);
    for (const size of [1, 3, 7, 16]) {
      const kv = openSequence(cache, `chunks of ${size}`);
      while (kv.length < sequence.length) {
        const count = Math.min(size, sequence.length - kv.length);
        expect(kv.reserve(count)).toBe(true);
        const batch = cache.batch([{ sequence: kv, tokens: count }]);
        const chunk = Int32Array.from(sequence.slice(kv.length, kv.length + count));
        const rows = {
          tokens: chunk,
          rows: Int32Array.of(count - 1),
          sequenceLengths: chunk.map(() => sequence.length),
        };
        const logits = await step.run(rows, batch);
        batch.advance();
        const row = full.subarray((kv.length - 1) * V, kv.length * V);
        expect(furthest((await logits.data()) as Float32Array, row), `${size} to ${kv.length}`).toBeLessThan(
          tolerance(name).chunks,
        );
      }
      kv.dispose();
    }
    step.dispose();
    chosen.dispose();
    cache.dispose();
    whole.dispose();
    await model.dispose();
  });

  test.for(fixtures)('%s: gradients of the first training step against the reference', async (name, context) => {
    if (backendName === 'reference') context.skip('it is what others are compared with');
    if (inShared(name)) context.skip('that of ../shared runs here');
    leaveOut(context, name, onWebGpu.trained);
    const { ids } = await expected(context, name);
    await using reference = await openReference();
    const [got, wanted] = await Promise.all(
      [device(), reference].map(async (on) => {
        const model = await load(on, context, name, { trainable: true });
        const found = await firstGradients(model, ids);
        await model.dispose();
        return found;
      }),
    );
    expect([...got!.keys()]).toEqual([...wanted!.keys()]);
    for (const [parameter, values] of wanted!) {
      const size = Math.hypot(...values);
      const away = Math.hypot(...got!.get(parameter)!.map((value, i) => value - values[i]!));
      // where a norm takes back all that a factor does, both are rounding
      expect(away, parameter).toBeLessThanOrEqual(tolerance(name).gradients * size + 1e-5);
    }
  });
});

/** Gradients of the loss of the next tokens by every parameter. */
async function firstGradients(
  model: LoadedModel,
  ids: readonly (readonly number[])[],
): Promise<ReadonlyMap<string, Float32Array>> {
  const { device, parameters } = model;
  const cut = (from: number, to?: number) => {
    const data = Int32Array.from(ids.flatMap((row) => row.slice(from, to)));
    return device.tensor(data, { shape: [ids.length, data.length / ids.length] });
  };
  const [tokens, targets] = [cut(0, -1), cut(1)];
  const found = gradients(crossEntropy(model.forward({ tokens }).logits, targets), parameters);
  await device.realize(found);
  const byName = new Map<string, Float32Array>();
  for (const [i, { name }] of parameters.entries()) byName.set(name, (await found[i]!.data()) as Float32Array);
  for (const tensor of [...found, tokens, targets]) tensor.dispose();
  return byName;
}
