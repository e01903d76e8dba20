import type { Device } from '@heddle/tensor';
import { openSafetensors, writeSafetensors } from '@heddle/tensor/safetensors';
import { expect, type TestContext } from 'vitest';
import { needShared, needSharedJson } from '../../../../test-support/shared.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { type LoadedModel, loadModel, type ModelFiles, openEngine } from '../index.ts';

const path = 'fixtures/models/phi3-longrope';
type Skip = Pick<TestContext, 'skip'>;

/** A Phi-3 as a Llama: its joined projections taken apart. */
async function asLlama(context: Skip): Promise<ModelFiles> {
  const config = (await needSharedJson(context, `${path}/config.json`)) as Record<string, number>;
  const file = await openSafetensors(await needShared(context, `${path}/model.safetensors`));
  const [E, H, K, F] = ['hidden_size', 'num_attention_heads', 'num_key_value_heads', 'intermediate_size'].map(
    (name) => config[name]!,
  ) as [number, number, number, number];
  const D = E / H;
  const parts: Record<string, readonly (readonly [string, number])[]> = {
    'self_attn.qkv_proj': [
      ['self_attn.q_proj', H * D],
      ['self_attn.k_proj', K * D],
      ['self_attn.v_proj', K * D],
    ],
    'mlp.gate_up_proj': [
      ['mlp.gate_proj', F],
      ['mlp.up_proj', F],
    ],
  };
  const tensors: [string, { dtype: 'F32'; shape: readonly number[]; data: Float32Array<ArrayBuffer> }][] = [];
  for (const name of file.names()) {
    const { shape } = file.info(name);
    const data = new Float32Array((await file.read(name)).buffer);
    const joined = Object.keys(parts).find((part) => name.includes(part));
    if (!joined) tensors.push([name, { dtype: 'F32', shape, data }]);
    let row = 0;
    for (const [part, rows] of joined ? parts[joined]! : []) {
      const taken = data.slice(row * E, (row + rows) * E);
      tensors.push([name.replace(joined!, part), { dtype: 'F32', shape: [rows, E], data: taken }]);
      row += rows;
    }
  }
  const text = JSON.stringify({ ...config, architectures: ['LlamaForCausalLM'], model_type: 'llama' });
  const files: Record<string, Uint8Array<ArrayBuffer>> = {
    'config.json': new TextEncoder().encode(text),
    'model.safetensors': writeSafetensors(Object.fromEntries(tensors)),
  };
  return { label: path, open: (name) => files[name] };
}

const expected = async (context: Skip) => openSafetensors(await needShared(context, `${path}/expected.safetensors`));

async function difference(model: LoadedModel, rows: number[][], right: Float32Array): Promise<number> {
  const logits = await model.logits(rows);
  const got = (await logits.data()) as Float32Array;
  logits.dispose();
  expect(got.length).toBe(right.length);
  return got.reduce((most, value, i) => Math.max(most, Math.abs(value - right[i]!)), 0);
}

/** The most likely token after each prefix, computed anew each time. */
async function recomputed(model: LoadedModel, prompt: readonly number[], count: number): Promise<number[]> {
  const stream = [...prompt];
  const V = model.config.vocabularySize;
  for (let i = 0; i < count; i++) {
    const logits = await model.logits([stream]);
    const last = ((await logits.data()) as Float32Array).subarray(-V);
    logits.dispose();
    stream.push(last.indexOf(last.reduce((a, b) => Math.max(a, b))));
  }
  return stream.slice(prompt.length);
}

async function generated(
  model: LoadedModel,
  prompts: readonly (readonly number[])[],
  maxTokens: number,
  maxBatchTokens: number,
  stepsInFlight = 3,
): Promise<number[][]> {
  const limits = { maxSequences: prompts.length, maxSequenceTokens: 128, maxBatchTokens };
  const engine = openEngine(model, { ...limits, stepsInFlight });
  const all = await Promise.all(
    prompts.map(async (tokens) => {
      const out: number[] = [];
      for await (const token of engine.generate({ tokens, maxTokens })) out.push(token);
      return out;
    }),
  );
  await engine.dispose();
  return all;
}

conformance('rotary scaling by length', (device: () => Device) => {
  test('longrope: what transformers computes within and beyond the original length', async (context) => {
    const model = await loadModel(await asLlama(context), { device: device() });
    const right = await expected(context);
    for (const [ids, logits] of [
      ['input_ids', 'logits'],
      ['long_input_ids', 'long_logits'],
    ] as const) {
      const [, length] = right.info(ids).shape as [number, number];
      const flat = [...new Int32Array((await right.read(ids)).buffer)];
      const rows = Array.from({ length: flat.length / length }, (_, i) => flat.slice(i * length, (i + 1) * length));
      const values = new Float32Array((await right.read(logits)).buffer);
      expect(await difference(model, rows, values)).toBeLessThan(1e-4);
    }
    await model.dispose();
  });

  test('longrope: generation over the original length, alone and in company, in one step and in chunks', async (context) => {
    leaveToNode(context);
    const model = await loadModel(await asLlama(context), { device: device() });
    const ids = [...new Int32Array((await (await expected(context)).read('long_input_ids')).buffer)];
    const crossing = ids.slice(0, 62);
    const long = ids.slice(0, 70);
    const short = ids.slice(5, 12);
    const right = [
      await recomputed(model, crossing, 5),
      await recomputed(model, long, 5),
      await recomputed(model, short, 5),
    ];
    for (const stepsInFlight of [1, 2, 3])
      expect((await generated(model, [crossing], 5, 128, stepsInFlight))[0]).toEqual(right[0]);
    expect(await generated(model, [crossing, long, short], 5, 24)).toEqual(right);
    await model.dispose();
  });

  test('dynamic: the base grows beyond the length of the configuration', async (context) => {
    leaveToNode(context);
    const scaled = { rope_scaling: { rope_type: 'dynamic', factor: 4 }, max_position_embeddings: 8 };
    const model = await loadModel(tinyLlama(undefined, scaled), { device: device() });
    expect(model.config.maxPositions).toBe(32);
    const plain = await loadModel(tinyLlama(undefined, { max_position_embeddings: 32 }), { device: device() });
    const tokens = Array.from({ length: 20 }, (_, i) => (i * 5 + 3) % 16);
    // 4 * 20 / 8 - 3 = 7 times the base, to the power of D / (D - 2) = 4 / 2
    const based = await loadModel(tinyLlama(undefined, { max_position_embeddings: 32, rope_theta: 10000 * 7 ** 2 }), {
      device: device(),
    });
    const values = async (other: LoadedModel, length: number) => {
      const logits = await other.logits([tokens.slice(0, length)]);
      const data = Float32Array.from((await logits.data()) as Float32Array);
      logits.dispose();
      return data;
    };
    expect(await difference(model, [tokens], await values(based, 20))).toBeLessThan(1e-4);
    expect(await difference(model, [tokens], await values(plain, 20))).toBeGreaterThan(1e-3);
    expect(await difference(model, [tokens.slice(0, 8)], await values(plain, 8))).toBeLessThan(1e-5);
    // a prompt in chunks is what it is in one step
    const [whole, chunked] = [await generated(model, [tokens], 6, 64), await generated(model, [tokens], 6, 7)];
    expect(chunked).toEqual(whole);
    for (const other of [model, plain, based]) await other.dispose();
  });
});
