import { writeSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { prose4m } from '../../../../test-support/model-files.ts';
import { conformance, leaveToNode, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import {
  embed,
  type LoadedModel,
  loadModel,
  type ModelFiles,
  openEmbeddingModel,
  openRankingModel,
  rank,
} from '../index.ts';
import { readModules } from './modules.ts';

type Files = Readonly<Record<string, string | Uint8Array<ArrayBuffer>>>;

/** A model with further files beside its own. */
const beside = (files: ModelFiles, more: Files): ModelFiles => ({
  label: files.label,
  open: (file) => {
    const own = more[file];
    return own === undefined ? files.open(file) : typeof own === 'string' ? new TextEncoder().encode(own) : own;
  },
});

const st = 'sentence_transformers.models';
const modules = (...kinds: readonly string[]) =>
  JSON.stringify(
    kinds.map((kind, idx) => ({ idx, name: `${idx}`, path: idx === 0 ? '' : `${idx}_${kind}`, type: `${st}.${kind}` })),
  );
const pooling = (...modes: readonly string[]) =>
  JSON.stringify(Object.fromEntries(modes.map((mode) => [`pooling_mode_${mode}`, true])));

const [inSize, outSize] = [256, 5];
const weight = Float32Array.from({ length: inSize * outSize }, (_, i) => Math.sin(1 + i * 3.7) / 8);
const bias = Float32Array.from({ length: outSize }, (_, i) => Math.cos(i));
const dense = {
  '2_Dense/config.json': JSON.stringify({
    in_features: inSize,
    out_features: outSize,
    activation_function: 'torch.nn.modules.activation.Tanh',
  }),
  '2_Dense/model.safetensors': writeSafetensors({
    'linear.weight': { dtype: 'F32', shape: [outSize, inSize], data: weight },
    'linear.bias': { dtype: 'F32', shape: [outSize], data: bias },
  }),
};

const texts = ['It was a cold evening', 'a', 'The cat sat on the mat, and the dog lay before the fire all night long.'];
const length = (vector: ArrayLike<number>) => Math.hypot(...Array.from(vector));

/** As the authors of Qwen3-Reranker write it out. */
function promptOf(model: LoadedModel, query: string, document: string): number[] {
  const task = 'Given a web search query, retrieve relevant passages that answer the query';
  const judge =
    'Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".';
  const encode = (text: string) => model.requireTokenizer().encode(text, { addSpecialTokens: false });
  return [
    ...encode(`<|im_start|>system\n${judge}<|im_end|>\n<|im_start|>user\n`),
    ...encode(`<Instruct>: ${task}\n<Query>: ${query}\n<Document>: ${document}`),
    ...encode('<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n'),
  ];
}

conformance('embedding', (device) => {
  test('pools the states of texts of any length as their modules say, in any company', async (context) => {
    leaveToNode(context);
    const model = await loadModel(prose4m, { device: device() });
    const tokenizer = model.requireTokenizer();
    const { hiddenSize: E, layers } = model.config;
    /** Hidden states of a text alone. */
    const statesOf = async (text: string) => {
      const tokens = tokenizer.encode(text);
      const data = await device().tensor(Int32Array.from(tokens), { shape: [tokens.length], dtype: 'i32' });
      const states = model.forward({ tokens: data, hidden: [layers] }).hidden[0]!;
      const values = (await states.data()) as Float32Array;
      return tokens.map((_, i) => [...values.subarray(i * E, (i + 1) * E)]);
    };
    const open = (files: Files) => openEmbeddingModel(beside(prose4m, files), { device: device() });
    const last = await open({
      'modules.json': modules('Transformer', 'Pooling', 'Normalize'),
      '1_Pooling/config.json': pooling('lasttoken'),
      'config_sentence_transformers.json': JSON.stringify({ prompts: { query: 'Find: ', document: '' } }),
    });
    const states = await Promise.all(texts.map(statesOf));
    const vectors = await embed({ model: last, texts });
    for (const [i, vector] of vectors.entries()) {
      const right = states[i]!.at(-1)!;
      expect(vector.length).toBe(last.dimensions);
      expect(length(vector)).toBeCloseTo(1, 4);
      for (const [j, value] of vector.entries()) expect(value).toBeCloseTo(right[j]! / length(right), 3);
    }
    const [asked] = await embed({ model: last, texts: ['a cat'], prompt: 'query' });
    const [written] = await embed({ model: last, texts: ['Find: a cat'] });
    const [prefixed] = await embed({ model: last, texts: ['cat'], prefix: 'Find: a ' });
    expect([asked, prefixed]).toEqual([written, written]);
    expect(await embed({ model: last, texts: [] })).toEqual([]);
    await expect(embed({ model: last, texts, prompt: 'nobody' })).rejects.toThrow(
      /no prompt 'nobody'; it has query, document/,
    );
    await expect(embed({ model: last, texts: ['x '.repeat(3000)] })).rejects.toThrow(
      /text 0 must be of 1 to \d+ tokens/,
    );
    await expect(embed({ model: {} as never, texts })).rejects.toThrow(
      /as openEmbeddingModel\(\) gives one, got Object/,
    );
    await last.dispose();
    const both = await open({
      'modules.json': modules('Transformer', 'Pooling', 'Dense'),
      '1_Pooling/config.json': pooling('mean_tokens'),
      ...dense,
    });
    for (const [i, vector] of (await embed({ model: both, texts })).entries()) {
      const mean = states[i]![0]!.map((_, j) => states[i]!.reduce((sum, row) => sum + row[j]!, 0) / states[i]!.length);
      const right = Array.from(bias, (b, o) =>
        Math.tanh(mean.reduce((sum, value, j) => sum + value * weight[o * inSize + j]!, b)),
      );
      for (const [o, value] of vector.entries()) expect(value).toBeCloseTo(right[o]!, 3);
    }
    await both.dispose();
    await model.dispose();
  }, 240_000);

  test('ranks documents by the probability of yes, in any company', async (context) => {
    leaveToNode(context);
    await expect(openRankingModel(prose4m, { device: device() })).rejects.toThrow(/single tokens, got \d for "yes"/);
    const model = await openRankingModel(prose4m, { device: device(), answers: ['no', ' yes'] });
    const documents = [
      'The sky is blue.',
      'Grass.',
      'It scatters short waves more than long ones, so that we see blue.',
    ];
    const all = await rank({ model, query: 'why is the sky blue', documents });
    expect(all.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
    expect(all[0]!.score).toBeGreaterThanOrEqual(all[2]!.score);
    for (const { index, score } of all) {
      const [one] = await rank({ model, query: 'why is the sky blue', documents: [documents[index]!] });
      expect(one!.score).toBeCloseTo(score, 3);
      const logits = await model.model.logits([promptOf(model.model, 'why is the sky blue', documents[index]!)]);
      const last = ((await logits.data()) as Float32Array).slice(-model.model.config.vocabularySize);
      const [no, yes] = model.answers.map((token) => Math.exp(last[token]!)) as [number, number];
      expect(score).toBeCloseTo(yes / (no + yes), 3);
      expect(score).toBeGreaterThan(0);
      expect(score).toBeLessThan(1);
    }
    await expect(rank({ model, query: 'x', documents: ['x '.repeat(3000)] })).rejects.toThrow(/document 0 .* at most/);
    await expect(rank({ model: {} as never, query: 'x', documents })).rejects.toThrow(
      /as openRankingModel\(\) gives one/,
    );
    await model.dispose();
  });

  test('of a model that attends in both directions depends on what comes after, within its window', async (context) => {
    leaveToNode(context);
    const gemma = {
      ...{ architectures: ['Gemma3TextModel'], model_type: 'gemma3_text', head_dim: 4, sliding_window: 4 },
      ...{ layer_types: ['sliding_attention', 'sliding_attention'], use_bidirectional_attention: true },
      ...{ query_pre_attn_scalar: 4, tie_word_embeddings: true },
    };
    const model = await loadModel(
      tinyLlama(() => {}, gemma),
      { device: device() },
    );
    const states = async (tokens: readonly number[], padding = 0) => {
      const L = tokens.length + padding;
      const rows = (data: number[]) => device().tensor(Int32Array.from(data), { shape: [1, L], dtype: 'i32' });
      const ids = rows([...tokens, ...new Array<number>(padding).fill(0)]);
      const segments = rows([...tokens.map(() => 0), ...new Array<number>(padding).fill(-1)]);
      const { hidden } = model.forward({ tokens: ids, segments, hidden: [2] });
      return ((await hidden[0]!.data()) as Float32Array).slice(0, tokens.length * 8);
    };
    const tokens = [1, 5, 2, 9, 3, 7, 11, 4, 6, 8];
    const right = await states(tokens);
    expect([...(await states(tokens, 3))]).toEqual([...right].map((value) => expect.closeTo(value, 4)));
    const other = await states([...tokens.slice(0, 9), 12]);
    const differs = tokens.map((_, i) =>
      [0, 1, 2, 3, 4, 5, 6, 7].some((j) => Math.abs(other[i * 8 + j]! - right[i * 8 + j]!) > 1e-5),
    );
    // half a window of 4 to each side, and the row itself: two rows a layer, so four of two layers
    expect(differs).toEqual([false, false, false, false, false, true, true, true, true, true]);
    const packed = device().tensor(Int32Array.from(tokens), { shape: [10], dtype: 'i32' });
    expect(() => model.forward({ tokens: packed })).toThrow(/attends in both directions takes a batch/);
    await model.dispose();
  });

  test('modules that are damaged or not known are refused by name', async (context) => {
    leaveToNode(context);
    const read = (files: Files) => readModules(beside({ label: 'm', open: () => undefined }, files));
    const list = modules('Transformer', 'Pooling');
    for (const [files, message] of [
      [{}, /m\/modules.json is missing/],
      [{ 'modules.json': '{' }, /must be JSON/],
      [{ 'modules.json': '[{"type":"a.Transformer","path":"../up"}]' }, /must be a list of modules/],
      [{ 'modules.json': modules('Transformer', 'Magic') }, /module 1 must be one of .* got .*Magic/],
      [{ 'modules.json': list }, /1_Pooling\/config.json is missing/],
      [{ 'modules.json': list, '1_Pooling/config.json': pooling('max_tokens') }, /largest values are not pooled/],
      [{ 'modules.json': list, '1_Pooling/config.json': '{}' }, /must ask for one of/],
      [
        {
          'modules.json': modules('Transformer', 'Pooling', 'Normalize', 'Dense'),
          '1_Pooling/config.json': pooling('mean_tokens'),
        },
        /module 2/,
      ],
      [
        {
          ...dense,
          'modules.json': modules('Transformer', 'Pooling', 'Dense'),
          '1_Pooling/config.json': pooling('mean_tokens'),
          '2_Dense/model.safetensors': writeSafetensors({}),
        },
        /linear.weight must be \[5,256\], got none/,
      ],
    ] as const)
      await expect(read(files as Files)).rejects.toThrow(message);
    const good = {
      'modules.json': list,
      '1_Pooling/config.json': pooling('cls_token', 'mean_tokens'),
      'sentence_bert_config.json': '{"max_seq_length": 7}',
    };
    expect(await read(good)).toMatchObject({
      poolings: ['first', 'mean'],
      normalized: false,
      maxTokens: 7,
      withPrompt: true,
    });
  });
});
