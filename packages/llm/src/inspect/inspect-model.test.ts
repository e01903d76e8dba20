import { bytesPerToken } from '@heddle/kvcache';
import { isHeddleError } from '@heddle/tensor';
import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { prose4m, sharedModel } from '../../../../test-support/model-files.ts';
import { runs } from '../../../../test-support/properties.ts';
import { needSharedJson, readCheckpoint, readShared } from '../../../../test-support/shared.ts';
import { tinyGguf } from '../../../../test-support/tiny-gguf.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel } from '../load-model.ts';
import { inspectModel } from './inspect-model.ts';
import { presetNames } from './presets.ts';

const llama = (sizes: Readonly<Record<string, unknown>>) => ({ architectures: ['LlamaForCausalLM'], ...sizes });
const llama31 = llama({
  vocab_size: 128256,
  hidden_size: 4096,
  intermediate_size: 14336,
  num_hidden_layers: 32,
  num_attention_heads: 32,
  num_key_value_heads: 8,
  max_position_embeddings: 131072,
});

describe('parameters', () => {
  test.each([
    ['Llama 3.1 8B', llama31, 8_030_261_248],
    [
      'Llama 3.2 1B',
      llama({
        vocab_size: 128256,
        hidden_size: 2048,
        intermediate_size: 8192,
        num_hidden_layers: 16,
        num_attention_heads: 32,
        num_key_value_heads: 8,
        max_position_embeddings: 131072,
        tie_word_embeddings: true,
      }),
      1_235_814_400,
    ],
    [
      'TinyLlama 1.1B',
      llama({
        vocab_size: 32000,
        hidden_size: 2048,
        intermediate_size: 5632,
        num_hidden_layers: 22,
        num_attention_heads: 32,
        num_key_value_heads: 4,
      }),
      1_100_048_384,
    ],
    [
      'Llama 2 70B',
      llama({
        vocab_size: 32000,
        hidden_size: 8192,
        intermediate_size: 28672,
        num_hidden_layers: 80,
        num_attention_heads: 64,
        num_key_value_heads: 8,
        max_position_embeddings: 4096,
      }),
      68_976_648_192,
    ],
    ['LLaMA 7B and Llama 2 7B', 'llama-7b', 6_738_415_616],
    ['LLaMA 65B', 'llama-65b', 65_285_660_672],
    ['GPT-2 small', 'gpt2-small', 124_439_808],
  ])('of %s are those of its published weights', async (_, source, total) => {
    const { parameters } = await inspectModel(source);
    expect(parameters.total).toBe(total);
    expect(parameters.other).toBe(0);
  });

  test('of every preset are in a part', async () => {
    for (const name of presetNames) expect((await inspectModel(name)).parameters.other).toBe(0);
  });

  test('of checkpoints are those that transformers counts', async (context) => {
    const counts = { ...((await needSharedJson(context, 'fixtures/meta.json')) as object) };
    Object.assign(counts, await needSharedJson(context, 'fixtures/more-meta.json'));
    const seen: string[] = [];
    for (const [name, { parameters }] of Object.entries(counts as Record<string, { parameters?: number }>)) {
      if (parameters === undefined) continue;
      const report = await inspectModel((await sharedModel(`fixtures/models/${name}`))!).catch((error: unknown) => {
        if (!isHeddleError(error, 'ERR_UNKNOWN_ARCHITECTURE')) throw error;
        return undefined; // a family that is not loaded has no sizes either
      });
      if (!report) continue;
      seen.push(name);
      expect(report.parameters, name).toMatchObject({ total: parameters, other: 0 });
    }
    expect(seen).toEqual(expect.arrayContaining(['llama-mha', 'llama-mqa', 'llama3-rope-scaled', 'llama-yarn']));
  });

  test('that only the file has count: biases, and a head in spite of a tie', async () => {
    const bias = { data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), shape: [8] };
    const plain = await inspectModel(tinyLlama());
    const tied = await inspectModel(tinyLlama(undefined, { tie_word_embeddings: true }));
    expect(plain.parameters.total - tied.parameters.total).toBe(plain.parameters.head);
    expect(tied.activeParameters).toBe(plain.activeParameters);
    const gguf = tinyGguf(
      {},
      { 'blk.0.attn_output.bias': { type: 0, shape: bias.shape, bytes: new Uint8Array(bias.data.buffer) } },
    );
    const [without, withBias] = await Promise.all([inspectModel(ggufFiles(tinyGguf())), inspectModel(ggufFiles(gguf))]);
    expect(withBias.parameters.attention - without.parameters.attention).toBe(8);
  });
});

const ggufFiles = (bytes: Uint8Array<ArrayBuffer>) => ({
  label: 'gguf',
  open: (name: string) => (name === 'model.gguf' ? bytes : undefined),
});

describe('memory', () => {
  test('weights take what the device holds of them, in every dtype', async () => {
    const report = await inspectModel(prose4m, { dtype: 'q4_k' });
    for (const dtype of ['f16', 'q8_0', 'q4_k'] as const) {
      await using device = await openReference();
      const model = await loadModel(prose4m, { device, dtype });
      const bytes = { f32: 4, f16: 2, q8_0: 34 / 32, q4_k: 144 / 256 } as Record<string, number>;
      const held = model.parameters.map(({ dtype, shape }) =>
        (shape as readonly number[]).reduce((a, b) => a * b, bytes[dtype]!),
      );
      expect(report.weightBytes[dtype]).toBe(held.reduce((a, b) => a + b, 0));
      await model.dispose();
    }
    expect(report.memory.total).toBe(report.weightBytes.q4_k);
  });

  test.each(['granite4', 'qwen3_5', 'lfm2', 'qwen3-next'])('states of a %s are those of its cache', async (name) => {
    const files = { label: name, open: async (file: string) => (await readCheckpoint(`${name}/${file}`)) ?? undefined };
    await using device = await openReference();
    await using model = await loadModel(files, { device });
    const cacheOf = (length: number) => inspectModel(files, { cacheDtype: 'f32', length, batch: 3 });
    const [short, long] = [await cacheOf(16), await cacheOf(48)];
    const states = model.kvShape.layers.flatMap((layer) => Object.values(layer).filter(({ kind }) => kind === 'state'));
    const held = states.reduce((sum, { shape }) => sum + (shape as readonly number[]).reduce((a, b) => a * b, 4), 0);
    const rows = short.layers.filter(({ recurrent }) => recurrent).map((layer) => layer.stateBytes);
    expect(short.stateBytes).toBe(rows.reduce((sum, bytes) => sum + bytes, 0));
    expect(short.stateBytes).toBeGreaterThan(held);
    expect(short.cacheBytes).toBe(3 * (16 * short.cacheBytesPerToken + short.stateBytes));
    expect(long.cacheBytes - short.cacheBytes).toBe(3 * 32 * short.cacheBytesPerToken);
    expect(short.layers.some(({ recurrent }) => recurrent)).toBe(true);
  });

  test('a token takes what the cache of the model takes', async () => {
    await using device = await openReference();
    const model = await loadModel(tinyLlama(), { device });
    const report = await inspectModel(tinyLlama(), { cacheDtype: 'f32', length: 8, batch: 3 });
    expect(report.cacheBytesPerToken).toBe(bytesPerToken(model.kvShape));
    expect(report.cacheBytes).toBe(24 * report.cacheBytesPerToken);
    expect(report.layers.map(({ attention }) => attention?.kind)).toEqual(['mqa', 'mqa']);
    await model.dispose();
    const { cacheBytesPerToken } = await inspectModel(llama31);
    expect(cacheBytesPerToken).toBe(2 * 32 * 8 * 128 * 2); // 128 KiB
  });
});

describe('operations', () => {
  test('of prefill and of a token are those of each product that is made', async () => {
    const [length, batch] = [7, 2];
    const { prefill, decode, layers, parameters } = await inspectModel(tinyLlama(), { length, batch });
    const [E, F, V, H, K, D] = [8, 16, 16, 2, 1, 4];
    const projections = 2 * (E * H * D + 2 * E * K * D + H * D * E);
    // a loop over what each query sees
    let pairs = 0;
    for (let query = 0; query < length; query++) for (let key = 0; key <= query; key++) pairs++;
    const scores = (seen: number) => 2 * seen * H * (D + D);
    expect(layers[1]!.prefill).toEqual({
      attention: batch * (length * projections + scores(pairs)),
      scores: batch * scores(pairs),
      rest: batch * length * 2 * 3 * E * F,
    });
    expect(layers[1]!.decode).toEqual({
      attention: batch * (projections + scores(length)),
      scores: batch * scores(length),
      rest: batch * 2 * 3 * E * F,
    });
    expect(decode.head).toBe(batch * 2 * V * E);
    expect(prefill.total).toBe(prefill.attention + prefill.rest + prefill.head);
    // the rule of thumb, two operations for each parameter that computes, is the same without scores
    const norms = parameters.norms;
    expect(decode.total - decode.scores).toBe(2 * batch * (parameters.total - parameters.embedding - norms));
  });
});

describe('advice', () => {
  test('is what fits, and nothing more fits', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...presetNames),
        fc.integer({ min: 2 ** 20, max: 2 ** 38 }),
        fc.integer({ min: 1, max: 1024 }),
        fc.integer({ min: 1, max: 64 }),
        async (name, memory, length, batch) => {
          const { advice, tableBytes } = await inspectModel(name, { memory, length, batch });
          for (const { weightBytes, cacheBytesPerSequence, sequences } of advice!.storage) {
            if (sequences > 0)
              expect(tableBytes + weightBytes + sequences * cacheBytesPerSequence).toBeLessThanOrEqual(memory);
            expect(tableBytes + weightBytes + (sequences + 1) * cacheBytesPerSequence).toBeGreaterThan(memory);
          }
          const kept = advice!.attention.map(({ cacheBytesPerSequence }) => cacheBytesPerSequence);
          expect(kept).toEqual([...kept].sort((a, b) => b - a));
          expect(advice!.lines.length).toBeGreaterThanOrEqual(3);
        },
      ),
      runs(30),
    );
  });

  test('says what fits, which attention, and what limits decoding', async () => {
    const { advice } = await inspectModel(llama31, { memory: 24 * 2 ** 30, length: 8192, batch: 8, dtype: 'q8_0' });
    expect(advice!.lines).toEqual([
      '24.0 GiB hold 8 sequences of 8192 tokens with weights of f16 (15.0 GiB) and an f16 cache (1.00 GiB a sequence): 24.0 GiB have room for 8 sequences.',
      'With q8_0 weights and an f16 cache: mha 4.00 GiB a sequence (3 sequences), gqa-8 1.00 GiB a sequence (15 sequences), mqa 128.0 MiB a sequence (129 sequences); the most key-value heads with which 8 sequences fit are those of gqa-8.',
      expect.stringMatching(
        /^A step of decoding \(8 sequences at 8192 tokens\) reads 7\.43 GiB of weights and 8\.00 GiB of cache/,
      ),
      expect.stringMatching(/^The cache is most of what is read \(from 8 sequences on\)/),
    ]);
    const small = await inspectModel(llama31, { memory: 2 ** 30, length: 8192 });
    expect(small.advice!.lines[0]).toMatch(
      /^1\.00 GiB do not hold 1 sequence of 8192 tokens: at least 4\.97 GiB are needed/,
    );
  });

  test('of a mixture of experts counts those that so many sequences choose, and each once', async () => {
    const mixture = {
      ...{ model_type: 'mixtral', hidden_size: 64, intermediate_size: 32, num_hidden_layers: 2, vocab_size: 256 },
      ...{ num_attention_heads: 4, num_key_value_heads: 2, num_local_experts: 8, num_experts_per_tok: 2 },
      max_position_embeddings: 128,
    };
    const read = async (batch: number) => {
      const { advice } = await inspectModel(mixture, { memory: 2 ** 30, batch, length: 16, dtype: 'f32' });
      return advice!.decoding.weightBytes;
    };
    const [one, two, four, nine] = [await read(1), await read(2), await read(4), await read(9)];
    const experts = 2 * 8 * 3 * 64 * 32 * 4;
    expect([two - one, four - one, nine - four]).toEqual([experts / 4, (3 * experts) / 4, 0]);
  });

  test('of another number of key-value heads counts the parameters that the model would have', async () => {
    const { advice } = await inspectModel(llama31, { memory: 2 ** 36 });
    const mqa = advice!.attention.find(({ kind }) => kind === 'mqa')!;
    const own = await inspectModel({ ...llama31, num_key_value_heads: 1 });
    expect(mqa.parameters).toBe(own.parameters.total);
    expect(mqa.cacheBytesPerSequence).toBe(own.cacheBytes);
  });
});

test('what cannot be inspected is refused, by name', async () => {
  const refused = async (run: Promise<unknown>, code: string, message: RegExp) =>
    expect(await run.catch((error: unknown) => error)).toMatchObject({ code, message: expect.stringMatching(message) });
  await refused(inspectModel('llama-7b', { length: 0 }), 'ERR_ARGUMENT', /length must be a positive integer, got 0/);
  await refused(inspectModel('llama-7b', { length: 4096 }), 'ERR_ARGUMENT', /context of 2048, got 4096/);
  await refused(inspectModel('llama-7b', { memory: 1.5 }), 'ERR_ARGUMENT', /memory must be a positive integer/);
  await refused(inspectModel('llama-7b', { dtype: 'q5_0' as 'f16' }), 'ERR_ARGUMENT', /dtype takes f32, f16, q8_0/);
  await refused(inspectModel('llama-7b', { context: 1 } as object), 'ERR_ARGUMENT', /has no option context/);
  await refused(inspectModel([] as unknown as string), 'ERR_ARGUMENT', /takes a path/);
  await refused(inspectModel('llama-8b'), 'ERR_FILE_NOT_FOUND', /nor is 'llama-8b' a preset \(.*llama-7b/);
  await refused(inspectModel(' '), 'ERR_ARGUMENT', /a model is a folder/);
  await refused(inspectModel('/no/such/folder'), 'ERR_FILE_NOT_FOUND', /no folder at/);
  await refused(inspectModel({ architectures: ['X'] }), 'ERR_UNKNOWN_ARCHITECTURE', /got X/);
  await refused(inspectModel(llama({ vocab_size: 'many' })), 'ERR_CONFIG', /config: /);
});

test('a GGUF file and a folder of the same model cost the same', async (context) => {
  const bytes = await readShared('models/stories260K/stories260K-q8_0.gguf');
  const folder = await sharedModel('models/stories260K');
  if (!bytes || !folder) return context.skip('../shared/models/stories260K is not here');
  const [a, b] = [await inspectModel(ggufFiles(bytes)), await inspectModel(folder)];
  expect({ ...a, name: '' }).toEqual({ ...b, name: '' });
});
