import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, writeSafetensors } from '@heddle/tensor/safetensors';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type LoadedModel, type LoadModelOptions, loadModel } from '../load-model.ts';
import { quantizeModel } from './quantize-model.ts';

const checkpoints = fileURLToPath(new URL('../../../../test-support/checkpoints/', import.meta.url));
const device = await openReference();
afterAll(() => device.dispose());
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heddle-folders-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function logits(path: string, dtype?: LoadModelOptions['dtype']): Promise<Float32Array> {
  await using model: LoadedModel = await loadModel(path, { device, activations: 'f32', ...(dtype && { dtype }) });
  const result = await model.logits([[1, 5, 2, 7, 3, 9, 11, 60]]);
  const data = ((await result.data()) as Float32Array).slice();
  result.dispose();
  return data;
}

test.each(['llama', 'gpt2', 'qwen3-next', 'gpt-oss', 'granite4-experts', 'deepseek-v3'])(
  '%s: a folder in f32 gives its logits, one in q8_0 nearly',
  async (name) => {
    const [exact, blocks] = [join(folder, `${name}-f32`), join(folder, `${name}-q8_0`)];
    await quantizeModel(checkpoints + name, exact, { dtype: 'f32' });
    await quantizeModel(checkpoints + name, blocks, { dtype: 'q8_0' });
    const expected = await logits(checkpoints + name);
    expect(await logits(exact)).toEqual(expected);
    const [got, scale] = [await logits(blocks), Math.max(...expected.map(Math.abs))];
    const largest = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
    expect(largest).toBeGreaterThan(0);
    expect(largest / scale).toBeLessThan(0.05);
  },
);

test('a matrix in blocks is bytes with its format beside it, as loadTensors reads it, and stays so on the device', async () => {
  const path = join(folder, 'blocks');
  const { byteLength, notes } = await quantizeModel(`${checkpoints}llama`, path, { dtype: 'q8_0' });
  expect(readFileSync(join(path, 'model.safetensors')).byteLength).toBe(byteLength);
  expect(notes.filter((note) => note.includes('stored'))).toEqual([]);
  const file = await openSafetensors(join(path, 'model.safetensors'));
  const formats = JSON.parse(file.metadata.get('block_formats')!) as Record<string, string>;
  const name = 'model.layers.0.self_attn.q_proj.weight';
  expect([formats[name], file.info(name)]).toMatchObject(['q8_0', { dtype: 'U8', shape: [32, 34] }]);
  expect(file.info('model.norm.weight').dtype).toBe('F32');
  await file.close();
  await using model = await loadModel(path, { device });
  expect(model.parameters.find((parameter) => parameter.name === name)).toMatchObject({
    dtype: 'q8_0',
    shape: [32, 32],
  });
  // what is asked for is made of the blocks
  expect(await logits(path, 'f32')).toEqual(await logits(path));
  expect(await logits(`${checkpoints}llama`, 'q8_0')).toEqual(await logits(path));
});

test('blocks that lie are refused, and nothing is left on the device', async () => {
  const good = join(folder, 'good');
  await quantizeModel(`${checkpoints}llama`, good, { dtype: 'q8_0' });
  const bytes = readFileSync(join(good, 'model.safetensors'));
  const file = await openSafetensors(Uint8Array.from(bytes));
  const name = 'model.layers.0.self_attn.q_proj.weight';
  const tensors = await Promise.all(
    file.names().map(async (own) => [own, { ...file.info(own), data: await file.read(own) }] as const),
  );
  const formats = JSON.parse(file.metadata.get('block_formats')!) as Record<string, string>;
  await file.close();
  const bad = join(folder, 'bad');
  mkdirSync(bad);
  copyFileSync(join(good, 'config.json'), join(bad, 'config.json'));
  const nan = tensors.map(([own, { dtype, shape, data }]) => {
    const changed = data.slice();
    if (own === name) changed.set([0, 0x7e], 34);
    return [own, { dtype, shape, data: changed }] as const;
  });
  const cases: [string, typeof nan, RegExp][] = [
    ['no json', tensors, /block_formats must be names with block formats/],
    ['[]', tensors, /block_formats must be names with block formats/],
    [
      JSON.stringify({ ...formats, [name]: 'q9_0' }),
      tensors,
      /has model\.layers\.0\.self_attn\.q_proj\.weight in q9_0/,
    ],
    [JSON.stringify({ ...formats, [name]: 'q4_k' }), tensors, /which are no such blocks/],
    [JSON.stringify({ ...formats, 'model.norm.weight': 'q8_0' }), tensors, /which are no such blocks/],
    ['{}', tensors, /must be \[32, 32\] by the configuration, got \[32, 34\]|must be \[/],
    [JSON.stringify(formats), nan, /block 1 has a scale that is not finite/],
  ];
  const before = device.memory().live;
  for (const [text, entries, message] of cases) {
    writeFileSync(join(bad, 'model.safetensors'), writeSafetensors(entries, { block_formats: text }));
    await expect(loadModel(bad, { device })).rejects.toMatchObject({
      code: 'ERR_WEIGHTS',
      message: expect.stringMatching(message),
    });
  }
  expect(device.memory().live).toBe(before);
});

test('what becomes no folder is refused', async () => {
  const path = join(folder, 'x.gguf');
  await quantizeModel(`${checkpoints}llama`, path, { dtype: 'f16' });
  await expect(quantizeModel(path, join(folder, 'of-gguf'), { dtype: 'f16' })).rejects.toMatchObject({
    code: 'ERR_CONFIG',
  });
  for (const target of ['', '.', '/', join(folder, 'x.safetensors')])
    await expect(quantizeModel(`${checkpoints}llama`, target, { dtype: 'f16' })).rejects.toMatchObject({
      code: 'ERR_ARGUMENT',
    });
  expect(readdirSync(folder).filter((name) => name.startsWith('of-'))).toEqual([]);
});
