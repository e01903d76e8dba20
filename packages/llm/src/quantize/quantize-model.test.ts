import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { f32ToF16, type HostArray } from '@heddle/tensor';
import { decodeBlocks, quantize } from '@heddle/tensor/quantized';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, safetensorsToF32 } from '@heddle/tensor/safetensors';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import recorded from '../../../../test-support/golden/prose4m.json' with { type: 'json' };
import { sharedModel } from '../../../../test-support/model-files.ts';
import { tinyGguf } from '../../../../test-support/tiny-gguf.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { openEngine } from '../engine/default-engine.ts';
import { openGgufModel } from '../gguf/gguf-model.ts';
import { loadModel } from '../load-model.ts';
import { loadTokenizer } from '../tokenizer.ts';
import { divergence } from './logits-divergence.ts';
import { quantizeModel } from './quantize-model.ts';
import { rowsOf, type SourceTensor } from './source-tensor.ts';
import { storedPieces, storedType } from './stored-type.ts';

const prose4m = fileURLToPath(new URL('../../../../examples/models/prose4m', import.meta.url));
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heddle-quantize-'));
});
afterAll(() => rmSync(folder, { recursive: true }));
const at = (name: string) => join(folder, name);
const fails = async (run: Promise<unknown>, code: string, message: RegExp) =>
  expect(await run.catch((error: unknown) => error)).toMatchObject({ code, message: expect.stringMatching(message) });

/** A small Llama's folder on disk. */
async function tinyFolder(name: string, ...options: Parameters<typeof tinyLlama>): Promise<string> {
  mkdirSync(at(name));
  for (const file of ['config.json', 'model.safetensors'])
    writeFileSync(join(at(name), file), (await tinyLlama(...options).open(file)) as Uint8Array);
  return at(name);
}

describe('a file of prose4m', () => {
  test.each(['f16', 'q8_0', 'q6_k', 'q4_k', 'q4_0'] as const)(
    'in %s holds the blocks of its weights',
    async (dtype) => {
      const { path, byteLength, notes } = await quantizeModel(prose4m, at(`prose-${dtype}.gguf`), { dtype });
      expect([readFileSync(path).byteLength, notes]).toEqual([byteLength, []]);
      const model = await openGgufModel(path, path);
      const file = await openSafetensors(join(prose4m, 'model.safetensors'));
      for (const name of file.names()) {
        const { shape, dtype: from } = file.info(name);
        const values = safetensorsToF32(from, await file.read(name));
        const stored = await model.weights.read({ stored: [name], shape }, undefined);
        const isHead = name === 'model.embed_tokens.weight';
        const wanted = storedType(shape, dtype, isHead);
        expect([name, stored.dtype]).toEqual([name, wanted]);
        const expected: HostArray =
          wanted === 'f32' ? values : wanted === 'f16' ? f32ToF16(values) : quantize(values, wanted);
        expect(Buffer.compare(bytesOf(stored.data), bytesOf(expected)), name).toBe(0);
      }
      await file.close();
      await model.close();
    },
    240_000,
  );

  test('has the tokenizer of the folder', async () => {
    const { tokenizer } = await loadTokenizer(prose4m);
    const model = await openGgufModel(at('prose-q8_0.gguf'), 'prose4m');
    for (const text of [
      ...Object.keys(recorded.golden),
      "It's  1234 — naïve?\n\nShe'll <|endoftext|> go.",
      ' ',
      '\t x',
    ])
      expect(model.tokenizer.tokenizer!.encode(text), text).toEqual(tokenizer!.encode(text));
    expect(model.model.config).toMatchObject({ bosTokenId: 0, eosTokenIds: [0], maxPositions: 512 });
    await model.close();
  });

  test('predicts as well as its type allows', async () => {
    await using device = await openReference();
    const rows = Object.values(recorded.golden)
      .slice(0, 2)
      .map(({ prompt, tokens }) => [...prompt, ...tokens.slice(0, 24)]);
    const source = await loadModel(prose4m, { device, dtype: 'f16' });
    const kl: Record<string, number> = {};
    for (const dtype of ['q8_0', 'q6_k', 'q4_k', 'q4_0'] as const) {
      const model = await loadModel(at(`prose-${dtype}.gguf`), { device });
      kl[dtype] = (await divergence(source, model, rows)).kl;
      if (dtype === 'q8_0') {
        // the golden tokens, whose smallest gap is a hundred times what this type changes
        const engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: 32 });
        const { prompt, tokens } = Object.values(recorded.golden)[0]!;
        const greedy: number[] = [];
        for await (const token of engine.generate({ tokens: prompt, maxTokens: 8 })) greedy.push(token);
        expect(greedy).toEqual(tokens.slice(0, 8));
        await engine.dispose();
      }
      await model.dispose();
    }
    expect(await divergence(source, source, rows)).toEqual({ kl: 0, sameTop: 1, positions: rows.flat().length });
    await source.dispose();
    expect(kl['q8_0']).toBeLessThan(1e-3);
    expect(kl['q6_k']).toBeLessThan(3e-3);
    expect(kl['q4_k']).toBeLessThan(5e-2);
    expect(kl['q4_0']).toBeLessThan(1e-1);
    expect(kl['q8_0']).toBeLessThan(kl['q6_k']!);
    expect(kl['q6_k']).toBeLessThan(kl['q4_k']!);
  }, 240_000);
});

const bytesOf = ({ buffer, byteOffset, byteLength }: HostArray) => Buffer.from(buffer, byteOffset, byteLength);

test('pieces with scores are the same tokens again', async (context) => {
  const model = await sharedModel('models/stories260K');
  if (!model) return context.skip('../shared/models/stories260K is not here');
  const path = fileURLToPath(new URL('../../../../../shared/models/stories260K', import.meta.url));
  await quantizeModel(path, at('stories.gguf'), { dtype: 'q8_0' });
  const [{ tokenizer }, read] = [await loadTokenizer(model), await openGgufModel(at('stories.gguf'), 'stories')];
  for (const text of ['Once upon a time, there was a little girl named Lily.', 'é 12  x\n', 'She said: "Hi!"'])
    expect(read.tokenizer.tokenizer!.encode(text), text).toEqual(tokenizer!.encode(text));
  await read.close();
});

test('a GGUF file keeps its metadata, and its tensors their order of rows', async () => {
  writeFileSync(at('tiny.gguf'), tinyGguf({ 'general.name': ['string', 'tiny'], 'general.file_type': ['u32', 0] }));
  await quantizeModel(at('tiny.gguf'), at('half.gguf'), { dtype: 'f16' });
  await using device = await openReference();
  const [a, b] = [
    await loadModel(at('tiny.gguf'), { device, dtype: 'f16' }),
    await loadModel(at('half.gguf'), { device, dtype: 'f16' }),
  ];
  expect(await divergence(a, b, [[1, 2, 3, 4]])).toMatchObject({ kl: 0, sameTop: 1 });
  await a.dispose();
  await b.dispose();
  // in place
  await quantizeModel(at('half.gguf'), at('half.gguf'), { dtype: 'q8_0' });
  const { model, weights, close } = await openGgufModel(at('half.gguf'), 'half');
  expect(model.config.hiddenSize).toBe(8);
  // rows of 8 values are no blocks
  expect((await weights.read({ stored: ['model.embed_tokens.weight'], shape: [16, 8] }, undefined)).dtype).toBe('f16');
  await close();
});

test('rotary scaling of Llama 3 stays', async () => {
  const scaling = {
    rope_type: 'llama3',
    factor: 8,
    low_freq_factor: 1,
    high_freq_factor: 4,
    original_max_position_embeddings: 8,
  };
  const path = await tinyFolder('scaled', undefined, { rope_scaling: scaling });
  await quantizeModel(path, at('scaled.gguf'), { dtype: 'f16' });
  await using device = await openReference();
  const [a, b] = [
    await loadModel(path, { device, dtype: 'f16', activations: 'f32' }),
    await loadModel(at('scaled.gguf'), { device }),
  ];
  const { kl } = await divergence(a, b, [[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]]);
  expect(kl).toBeLessThan(1e-9);
  await a.dispose();
  await b.dispose();
  const dynamic = await tinyFolder('dynamic', undefined, { rope_scaling: { rope_type: 'dynamic', factor: 2 } });
  await fails(
    quantizeModel(dynamic, at('dynamic.gguf'), { dtype: 'f16' }),
    'ERR_CONFIG',
    /scaling of the kind dynamic cannot be said/,
  );
});

test('a tensor passes through some rows at a time', async () => {
  const asked: number[] = [];
  const tensor: SourceTensor = {
    name: 'large',
    shape: [3 * 2 ** 14, 1024],
    async rows(_, count) {
      asked.push(count);
      return new Float32Array(count * 1024).fill(1);
    },
  };
  let bytes = 0;
  for await (const piece of storedPieces(tensor, 'q8_0', 64)) bytes += piece.byteLength;
  expect(bytes).toBe(3 * 2 ** 14 * 1024 * (34 / 32));
  expect(Math.max(...asked) * 1024).toBeLessThanOrEqual(2 ** 22);
  expect(asked.every((count) => count % 64 === 0)).toBe(true);
  expect(rowsOf([2, 3, 4])).toEqual({ rows: 6, length: 4 });
});

test('what cannot be written is refused, and nothing is left', async () => {
  const write = (source: string, dtype: 'f16' | 'q8_0' = 'f16') => quantizeModel(source, at('bad/x.gguf'), { dtype });
  const nan = await tinyFolder('nan', (name, data) => {
    if (name.includes('down_proj')) data[3] = 1e6;
  });
  await fails(write(nan), 'ERR_WEIGHTS_RANGE', /f16 reaches 65504, got 1000000/);
  const whole = tinyGguf();
  for (const length of [10, 300, whole.length - 40]) {
    writeFileSync(at('cut.gguf'), whole.subarray(0, length));
    await fails(write(at('cut.gguf')), 'ERR_GGUF_TRUNCATED', /gguf/);
  }
  await fails(write('/no/such/folder'), 'ERR_FILE_NOT_FOUND', /no folder/);
  await fails(
    quantizeModel(prose4m, at('x.bin'), { dtype: 'f16' }),
    'ERR_ARGUMENT',
    /must end in \.gguf or be a folder/,
  );
  await fails(
    quantizeModel(prose4m, at('x.gguf'), { dtype: 'q9' as 'f16' }),
    'ERR_ARGUMENT',
    /dtype takes f32, f16, q8_0/,
  );
  await fails(quantizeModel(prose4m, '/dev/null/x.gguf', { dtype: 'f16' }), 'ERR_FILE_ACCESS', /cannot write/);
  expect(readdirSync(at('bad'))).toEqual([]);
  expect(readdirSync(folder).filter((name) => name.endsWith('.partial'))).toEqual([]);
});

test('values of blocks that are quantised again are near those they stood for', async () => {
  const shape = [4, 256];
  const values = Float32Array.from({ length: 1024 }, (_, i) => Math.sin(i * i) * 0.1);
  const again = decodeBlocks('Q4_K', quantize(decodeBlocks('Q8_0', quantize(values, 'q8_0'), shape), 'q4_k'), shape);
  values.forEach((value, i) => {
    expect(Math.abs(value - again[i]!)).toBeLessThan(0.012);
  });
});
