import type { Device } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { adapterFiles, createLora, type Lora, readAdapter } from '@heddle/trainer/lora';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, readCheckpoint, sharedMissing } from '../../../../test-support/shared.ts';
import { backendName, conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { createAdapterPool, type Engine, type GenerationRequest, loadModel, openEngine } from '../index.ts';
import { adaptedModel, openAdapter } from '../training.ts';

/** An adapter whose second factors are not zeros, as those of a trained one. */
async function randomAdapter(
  device: Device,
  weights: Parameters<typeof createLora>[1],
  { seed, rank, targets }: { readonly seed: number; readonly rank: number; readonly targets: readonly string[] },
): Promise<Lora> {
  const lora = await createLora(device, weights, { rank, alpha: 3 * rank, targets, seed });
  const updates = [...lora.factors.values()].map(({ b }, index) => {
    const data = Float32Array.from({ length: (b.shape[0] as number) * rank }, (_, i) =>
      Math.sin(seed * 17 + index * 5 + i * 3.1),
    );
    return b.assign(device.tensor(data, { shape: b.shape as number[] }));
  });
  await device.realize([], updates);
  return lora;
}

/** A software GPU compiles each plan for seconds. */
const slow = backendName.startsWith('webgpu');

async function tokensOf(engine: Engine, request: GenerationRequest): Promise<number[]> {
  const tokens: number[] = [];
  for await (const token of engine.generate(request)) tokens.push(token);
  return tokens;
}

conformance('pools of adapters', (device) => {
  test('requests with different adapters in one batch get what each gets alone', async (context) => {
    leaveToNode(context);
    const fields = { num_hidden_layers: slow ? 1 : 2 };
    const model = await loadModel(
      tinyLlama(() => {}, fields),
      { device: device() },
    );
    const make = (seed: number, rank: number, targets: readonly string[]) =>
      randomAdapter(device(), model.parameters, { seed, rank, targets });
    const loras = {
      attention: await make(1, 3, ['q_proj', 'v_proj', 'o_proj']),
      everything: await make(2, 4, ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj']),
    };
    const adapters = createAdapterPool(model, { maxAdapters: 2, maxRank: 4 });
    for (const [name, lora] of Object.entries(loras)) await adapters.load(name, lora);
    expect(adapters.names).toEqual(['attention', 'everything']);
    const sizes = { maxSequences: 4, maxSequenceTokens: 32, maxBatchTokens: 8 };
    const maxTokens = slow ? 3 : 10;
    const engine = openEngine(model, { ...sizes, adapters });
    const alone = new Map<string, number[]>();
    const prompts = [
      [3, 5, 7, 2, 9, 11],
      [3, 5, 7, 2, 9, 11, 1, 4, 6],
    ].slice(slow ? 1 : 0);
    const names = [undefined, 'attention', 'everything'] as const;
    for (const name of names) {
      const own = name ? adaptedModel(model, loras[name]) : model;
      const one = openEngine(own, { ...sizes, maxSequences: 1 });
      for (const tokens of prompts) alone.set(`${name} ${tokens}`, await tokensOf(one, { tokens, maxTokens }));
      await one.dispose();
      if (name) await own.dispose();
    }
    expect(new Set([...alone.values()].map(String)).size).toBeGreaterThan(prompts.length);
    const asked = names.flatMap((name) => prompts.map((tokens) => ({ name, tokens })));
    // twice: the second time prompts are found in the cache, those of the same adapter only
    for (let turn = 0; turn < (slow ? 1 : 2); turn++) {
      const found = await Promise.all(
        asked.map(({ name, tokens }) => tokensOf(engine, { tokens, maxTokens, ...(name && { adapter: name }) })),
      );
      for (const [i, { name, tokens }] of asked.entries()) expect(found[i]).toEqual(alone.get(`${name} ${tokens}`));
    }
    await engine.dispose();
    for (const each of [adapters, ...Object.values(loras)]) each.dispose();
    await model.dispose();
  }, 240_000);

  test("one of PEFT's gives the logits that PEFT gives, beside rows without one", async (context) => {
    leaveToNode(context);
    const path = 'fixtures/models/llama-mqa';
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const parts: Record<string, Uint8Array<ArrayBuffer>> = {};
    for (const name of ['adapter_config.json', 'adapter_model.safetensors'])
      parts[name] = await needShared(context, `fixtures/lora/adapter/${name}`);
    const expected = await openSafetensors(await needShared(context, 'fixtures/lora/expected.safetensors'));
    const model = await loadModel(files, { device: device() });
    const adapters = createAdapterPool(model, { maxAdapters: 3, maxRank: 6 });
    await adapters.load('of PEFT', { label: 'adapter', open: (name) => parts[name] });
    const { place } = adapters.hold('of PEFT');
    const ids = [...new Int32Array((await expected.read('input_ids')).buffer)];
    const wanted = new Float32Array((await expected.read('logits')).buffer);
    const plain = await model.logits([ids.slice(20)]);
    const without = (await plain.data()) as Float32Array;
    // both rows as packed sequences, the second without the adapter; logits of all but the first token
    const i32 = (values: readonly number[]) => device().tensor(Int32Array.from(values));
    const every = Array.from({ length: 40 }, (_, i) => i);
    const rows = i32(every.slice(1));
    const { logits } = model.forward({
      tokens: i32(ids),
      positions: i32(every.map((i) => i % 20)),
      segments: i32(every.map((i) => Math.floor(i / 20))),
      rows,
      adapters: adapters.ofRows(i32(every.map((i) => (i < 20 ? place : 0))), rows),
    });
    const V = model.config.vocabularySize;
    const got = (await logits.data()) as Float32Array;
    const furthest = (from: number, to: number, other: Float32Array, at: number) => {
      let most = 0;
      for (let i = from * V; i < to * V; i++) most = Math.max(most, Math.abs(got[i]! - other[i + at * V]!));
      return most;
    };
    expect(furthest(0, 19, wanted, 1)).toBeLessThan(1e-4);
    expect(furthest(19, 39, without, -19)).toBeLessThan(1e-4);
    expect(furthest(19, 39, wanted, 1)).toBeGreaterThan(0.01);
    plain.dispose();
    adapters.dispose();
    await model.dispose();
  }, 240_000);

  test("PEFT's ranks and scales of single layers, heads and biases, alone and in a pool", async (context) => {
    if (slow) context.skip('its kernels are those of the test before');
    const own = (path: string) => ({ label: path, open: (file: string) => readCheckpoint(`${path}/${file}`) });
    const model = await loadModel(own('llama'), { device: device() });
    const all = ['q_proj', 'k_proj', 'v_proj', 'o_proj', 'gate_proj', 'up_proj', 'down_proj', 'lm_head'];
    const adapters = createAdapterPool(model, { maxAdapters: 3, maxRank: 7, biases: true, targets: all });
    const V = model.config.vocabularySize;
    const i32 = (values: readonly number[]) => device().tensor(Int32Array.from(values));
    for (const name of ['plain', 'wide', 'biased']) {
      const folder = `llama-adapters/${name}`;
      const expected = await openSafetensors((await readCheckpoint(`${folder}/expected.safetensors`))!);
      const ids = [...new Int32Array((await expected.read('input_ids')).buffer)];
      const wanted = new Float32Array((await expected.read('logits')).buffer);
      const furthest = (got: Float32Array) => wanted.reduce((most, x, i) => Math.max(most, Math.abs(x - got[i]!)), 0);
      const half = ids.length / 2;
      using lora = await openAdapter(device(), own(folder));
      const adapted = adaptedModel(model, lora);
      const alone = await adapted.logits([ids.slice(0, half), ids.slice(half)]);
      expect(furthest((await alone.data()) as Float32Array), name).toBeLessThan(1e-4);
      alone.dispose();
      await adapted.dispose();
      await adapters.load(name, lora);
      const { place } = adapters.hold(name);
      const every = ids.map((_, i) => i);
      const rows = i32(every.slice(1));
      const { logits } = model.forward({
        tokens: i32(ids),
        positions: i32(every.map((i) => i % half)),
        segments: i32(every.map((i) => Math.floor(i / half))),
        rows,
        adapters: adapters.ofRows(i32(every.map(() => place)), rows),
      });
      const got = new Float32Array(wanted.length);
      got.set(wanted.subarray(0, V));
      got.set((await logits.data()) as Float32Array, V);
      expect(furthest(got), name).toBeLessThan(1e-4);
      // written and read again it is the same
      const files = await adapterFiles(lora, 'base');
      const config = files['adapter_config.json'];
      const again = await readAdapter(device(), { config, weights: files['adapter_model.safetensors'] });
      expect([...again.parameters.keys()].sort()).toEqual([...lora.parameters.keys()].sort());
      again.dispose();
      if (name !== 'biased') continue;
      expect(() => lora.merged('model.layers.0.self_attn.q_proj', model.parameters[0]!)).toThrow(/has a bias in the/);
      const without = createAdapterPool(model, { maxRank: 4, targets: ['q_proj', 'o_proj'] });
      await expect(without.load(name, lora)).rejects.toThrow(/make the pool with \{ biases: true \}/);
      without.dispose();
    }
    adapters.dispose();
    await model.dispose();
  }, 240_000);

  test('an adapter that is unloaded stays for those who have it, and its place is another’s afterwards', async (context) => {
    if (slow) context.skip('it is the host that knows who has which');
    const model = await loadModel(tinyLlama(), { device: device() });
    const make = (seed: number) =>
      randomAdapter(device(), model.parameters, { seed, rank: 2, targets: ['v_proj', 'up_proj'] });
    const [first, second] = [await make(3), await make(4)];
    const adapters = createAdapterPool(model, { maxAdapters: 1, maxRank: 2, targets: ['v_proj', 'up_proj'] });
    await adapters.load('own', first);
    const engine = openEngine(model, { maxSequences: 2, maxSequenceTokens: 32, adapters });
    const request = { tokens: [3, 5, 7, 2], maxTokens: 12, adapter: 'own' };
    const whole = await tokensOf(engine, request);
    const running = engine.generate(request);
    const begun = (await running.next()).value;
    adapters.unload('own');
    expect(() => engine.generate(request)).toThrow(/there is no 'own'; loaded are none/);
    await expect(adapters.load('own', second)).rejects.toThrow(/no place for 'own': all 1 \(maxAdapters\)/);
    const rest: number[] = [];
    for await (const token of running) rest.push(token);
    expect([begun, ...rest]).toEqual(whole);
    await adapters.load('own', second);
    // of the same name, and nothing of the first is found in the cache
    const adapted = adaptedModel(model, second);
    const alone = openEngine(adapted, { maxSequences: 1, maxSequenceTokens: 32 });
    const { adapter: _, ...plain } = request;
    expect(await tokensOf(engine, request)).toEqual(await tokensOf(alone, plain));
    await alone.dispose();
    await adapted.dispose();
    await engine.dispose();
    for (const each of [adapters, first, second]) each.dispose();
    await model.dispose();
  }, 240_000);

  test('refuses what does not fit, and is then as it was', async (context) => {
    leaveToNode(context);
    const model = await loadModel(tinyLlama(), { device: device() });
    const before = device().memory().live;
    for (const [options, message] of [
      [{ maxAdapters: 0 }, /maxAdapters must be a positive integer/],
      [{ maxRank: 1.5 }, /maxRank must be a positive integer/],
      [{ targets: [] }, /targets must be names/],
      [{ targets: ['nothing'] }, /no layer is a target: nothing/],
    ] as const)
      expect(() => createAdapterPool(model, options)).toThrow(message);
    const adapters = createAdapterPool(model, { maxAdapters: 1, maxRank: 2, targets: ['q_proj'] });
    // the reference holds f64
    expect(device().memory().live - before).toBe(adapters.byteLength * (backendName === 'reference' ? 2 : 1));
    const make = (rank: number, targets: readonly string[]) =>
      randomAdapter(device(), model.parameters, { seed: 1, rank, targets });
    const [wide, other, fits] = [await make(3, ['q_proj']), await make(1, ['v_proj']), await make(2, ['q_proj'])];
    await expect(adapters.load('wide', wide)).rejects.toThrow(/has rank 3, the pool takes 2 \(maxRank\)/);
    await expect(adapters.load('other', other)).rejects.toThrow(/'model.layers.0.self_attn.v_proj', which is none/);
    await expect(adapters.load('', fits)).rejects.toThrow(/a name that is not empty/);
    await expect(adapters.load('gone', { label: 'x', open: () => undefined })).rejects.toThrow(/there is no/);
    expect(adapters.names).toEqual([]);
    await adapters.load('fits', fits);
    await expect(adapters.load('fits', fits)).rejects.toThrow(/'fits' is loaded already/);
    expect(() => adapters.unload('wide')).toThrow(/there is no 'wide'; loaded are 'fits'/);
    const engine = openEngine(model, { maxSequences: 1 });
    expect(() => engine.generate({ tokens: [1], maxTokens: 1, adapter: 'fits' })).toThrow(/the engine has no adapters/);
    await engine.dispose();
    for (const each of [adapters, wide, other, fits]) each.dispose();
    await expect(adapters.load('late', fits)).rejects.toThrow(/disposed/);
    await model.dispose();
  });
});
