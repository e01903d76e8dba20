import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { embedMany, embed as embedWithSdk } from 'ai';
import OpenAI from 'openai';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { conformanceTable } from '../../../../../test-support/conformance-table.ts';
import { fetchOf } from '../../../../../test-support/prose-server.ts';
import { createHeddle } from '../../ai-sdk.ts';
import { type EmbeddingModel, embed, openEmbeddingModel, openRankingModel, type RankingModel } from '../../index.ts';
import { createServer, type HeddleServer, workerModel } from '../../serve.ts';

let folder: string;
let model: EmbeddingModel;
let ranking: RankingModel;
let app: HeddleServer;
let client: OpenAI;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'heddle-embeddings-'));
  await cp(fileURLToPath(new URL('../../../../../examples/models/prose4m', import.meta.url)), folder, {
    recursive: true,
  });
  const kinds = ['Transformer', 'Pooling', 'Normalize'];
  const modules = kinds.map((kind, idx) => ({
    idx,
    name: `${idx}`,
    path: idx === 0 ? '' : `${idx}_${kind}`,
    type: `sentence_transformers.models.${kind}`,
  }));
  await writeFile(join(folder, 'modules.json'), JSON.stringify(modules));
  await mkdir(join(folder, '1_Pooling'));
  await writeFile(join(folder, '1_Pooling/config.json'), JSON.stringify({ pooling_mode_lasttoken: true }));
  model = await openEmbeddingModel(folder, { device: 'onnx' });
  const tokenizer = model.model.requireTokenizer();
  const single = [...Array(400).keys()]
    .map((token) => tokenizer.decode([token]))
    .filter((text) => /^[a-z]+$/.test(text) && tokenizer.encode(text, { addSpecialTokens: false }).length === 1);
  ranking = await openRankingModel(folder, { device: 'onnx', answers: [single[0]!, single[1]!] });
  app = createServer({ words: model, ranks: ranking });
  client = new OpenAI({ baseURL: 'http://localhost/v1', apiKey: 'none', fetch: fetchOf(app), maxRetries: 0 });
}, 120_000);
afterAll(async () => {
  await model.dispose();
  await ranking.dispose();
  await rm(folder, { recursive: true });
});

const conforms = conformanceTable('embeddings');
const texts = ['a cat sat by the fire', 'the ship sailed at noon, and all wept'];
const rounded = (vector: Iterable<number>) => [...vector].map((value) => Number(value.toFixed(5)));

conforms('embeddings', 'a text or a list, floats and base64, dimensions, usage', async () => {
  const expected = (await embed({ model, texts })).map(rounded);
  for (const encoding_format of ['float', 'base64', undefined] as const) {
    const asked = { model: 'words', input: texts, ...(encoding_format && { encoding_format }) };
    const { data, usage } = await client.embeddings.create(asked);
    if (encoding_format !== 'base64') expect(data.map(({ embedding }) => rounded(embedding))).toEqual(expected);
    else {
      const bytes = Buffer.from(data[0]!.embedding as unknown as string, 'base64');
      expect(rounded(new Float32Array(Uint8Array.from(bytes).buffer))).toEqual(expected[0]);
    }
    const tokens = texts.reduce((sum, text) => sum + model.model.requireTokenizer().encode(text).length, 0);
    expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens });
  }
  const { data } = await client.embeddings.create({ model: 'words', input: texts[0]!, dimensions: 8 });
  const short = data[0]!.embedding;
  expect(short).toHaveLength(8);
  expect(Math.hypot(...short)).toBeCloseTo(1, 5);
  expect(short[1]! / short[0]!).toBeCloseTo(expected[0]![1]! / expected[0]![0]!, 1);
});

conforms('errors of embeddings', 'too many dimensions, an empty text, a model that generates none', async () => {
  const wrong = (body: object) => client.embeddings.create({ model: 'words', input: 'x', ...body });
  await expect(wrong({ dimensions: 100_000 })).rejects.toMatchObject({ status: 400, param: 'dimensions' });
  await expect(wrong({ input: [''] })).rejects.toMatchObject({ status: 400 });
  await expect(wrong({ input: 'x '.repeat(2000) })).rejects.toThrow(/text 0 must be of/);
  await expect(wrong({ model: 'ranks' })).rejects.toMatchObject({ status: 400, param: 'model' });
  const asked = client.completions.create({ model: 'words', prompt: 'x' });
  await expect(asked).rejects.toMatchObject({ status: 400, param: 'model' });
});

const post = async (on: HeddleServer, path: string, body: object) => {
  const headers = { 'content-type': 'application/json' };
  const response = await on.request(path, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, body: (await response.json()) as Record<string, unknown> };
};

test('rerank: the best first, top_n, documents', async () => {
  const asked = { model: 'ranks', query: 'Where is the cat?', documents: [texts[0], { text: texts[1] }] };
  const { status, body } = await post(app, '/v1/rerank', asked);
  const results = body['results'] as { index: number; relevance_score: number }[];
  expect([status, results.map(({ index }) => index).sort()]).toEqual([200, [0, 1]]);
  expect(results[0]!.relevance_score).toBeGreaterThanOrEqual(results[1]!.relevance_score);
  const one = await post(app, '/v1/rerank', { ...asked, top_n: 1, return_documents: true });
  expect(one.body['results']).toEqual([{ ...results[0], document: { text: texts[results[0]!.index] } }]);
  expect((await post(app, '/v1/rerank', { ...asked, documents: [1] })).status).toBe(400);
  expect((await post(app, '/v1/rerank', { ...asked, model: 'words' })).status).toBe(400);
  expect(app.running).toBe(0);
});

test('an embedding model in a process of its own gives the same', async () => {
  await using apart = workerModel('apart', folder, { device: 'onnx', kind: 'embedding' });
  await apart.opened;
  const own = createServer([apart]);
  const here = await post(app, '/v1/embeddings', { model: 'words', input: texts });
  const there = await post(own, '/v1/embeddings', { model: 'apart', input: texts });
  const vectors = ({ body }: typeof here) =>
    (body['data'] as { embedding: number[] }[]).map(({ embedding }) => rounded(embedding));
  expect(vectors(there)).toEqual(vectors(here));
  expect((await post(own, '/v1/rerank', { model: 'apart', query: 'x', documents: ['y'] })).status).toBe(400);
  expect((await post(own, '/v1/completions', { model: 'apart', prompt: 'x' })).status).toBe(400);
}, 120_000);

test('an embedding model of the AI SDK', async () => {
  const heddle = createHeddle({ words: model });
  const { embeddings, usage } = await embedMany({ model: heddle.embeddingModel('words'), values: texts });
  expect(embeddings.map(rounded)).toEqual((await embed({ model, texts })).map(rounded));
  expect(usage.tokens).toBeGreaterThan(10);
  const one = await embedWithSdk({ model: heddle.embeddingModel('words'), value: texts[0]! });
  expect(one.embedding).toHaveLength(model.dimensions);
  expect(() => heddle('words')).toThrow(/No such languageModel/);
  expect(() => heddle.embeddingModel('none')).toThrow(/No such embeddingModel/);
});
