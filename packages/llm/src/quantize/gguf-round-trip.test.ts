import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { openReference } from '@heddle/tensor/reference';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { describeModel } from '../families.ts';
import { ggufArchitectures, ggufNamesOf } from '../gguf/gguf-families.ts';
import { openGguf } from '../gguf/gguf-file.ts';
import { type LoadedModel, loadModel } from '../load-model.ts';
import { quantizeModel } from './quantize-model.ts';

const checkpoints = fileURLToPath(new URL('../../../../test-support/checkpoints/', import.meta.url));
const names = readdirSync(checkpoints).filter(
  (name) => !name.includes('.') && readdirSync(checkpoints + name).includes('expected.safetensors'),
);
const device = await openReference();
afterAll(() => device.dispose());
let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'heddle-round-trip-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const rows = [[1, 5, 2, 7, 3, 9, 11, 60, 33, 4, 8, 20]];
async function logits(model: LoadedModel): Promise<Float32Array> {
  const result = await model.logits(rows);
  const data = ((await result.data()) as Float32Array).slice();
  result.dispose();
  return data;
}

/** Of these checkpoints files cannot say everything: one of four layers is not rotated, and heads scale by their size. */
const sayable: Readonly<Record<string, object>> = {
  smollm3: { no_rope_layers: [1, 1] },
  gemma2: { query_pre_attn_scalar: 8 },
  gemma3: { query_pre_attn_scalar: 8 },
};

/** A folder of a checkpoint, with fields that files can say. */
function folderOf(name: string): string {
  if (!sayable[name]) return checkpoints + name;
  const path = join(folder, name);
  mkdirSync(path, { recursive: true });
  const config = JSON.parse(readFileSync(`${checkpoints}${name}/config.json`, 'utf8')) as object;
  writeFileSync(join(path, 'config.json'), JSON.stringify({ ...config, ...sayable[name] }));
  copyFileSync(`${checkpoints}${name}/model.safetensors`, join(path, 'model.safetensors'));
  return path;
}

test.each(names)('%s: a GGUF file of it gives its logits', async (name) => {
  const path = join(folder, `${name}.gguf`);
  const { notes } = await quantizeModel(folderOf(name), path, { dtype: 'f32' });
  expect(notes).toEqual([]);
  await using source = await loadModel(folderOf(name), { device });
  await using model = await loadModel(path, { device });
  expect(model.deviations).toEqual([]);
  expect(model.config.architecture).toBe(source.config.architecture);
  const [expected, got] = [await logits(source), await logits(model)];
  const largest = expected.reduce((most, value, i) => Math.max(most, Math.abs(value - got[i]!)), 0);
  expect(largest).toBeLessThan(1e-5);
  rmSync(path);
});

test('every architecture of GGUF files is written', () => {
  const families = names.map((name) => {
    const text = readFileSync(`${checkpoints}${name}/config.json`, 'utf8');
    return describeModel({ label: name, text }).config.architecture;
  });
  expect(new Set(families.map((family) => ggufNamesOf[family]))).toEqual(new Set(ggufArchitectures));
});

test('every tensor of a file in blocks has the type that it is to have', async () => {
  const path = join(folder, 'blocks.gguf');
  await quantizeModel(`${checkpoints}gpt-oss`, path, { dtype: 'q8_0' });
  const file = await openGguf(path);
  const typeOf = (tensor: string) => file.tensors.get(`blk.0.${tensor}`)?.type;
  expect(typeOf('ffn_gate_exps.weight')).toBe('Q8_0');
  // rows of 40 values are no blocks
  expect(typeOf('ffn_down_exps.weight')).toBe('F16');
  for (const exact of ['ffn_gate_inp.weight', 'ffn_gate_exps.bias', 'attn_sinks.weight', 'attn_norm.weight'])
    expect(typeOf(exact), exact).toBe('F32');
  await file.close();
});

test.each([
  ['smollm3', /layers\.1\.mixer\.part\.rotary is undefined/],
  ['gemma2', /layers\.0\.mixer\.part\.scale is 0\.28/],
  ['gemma3', /layers\.0\.mixer\.part\.scale is 0\.28/],
])('%s: what a GGUF file cannot say is refused by name, and nothing is written', async (name, what) => {
  const path = join(folder, 'refused.gguf');
  const error = await quantizeModel(checkpoints + name, path, { dtype: 'f32' }).catch((reason: unknown) => reason);
  expect(error).toMatchObject({ code: 'ERR_CONFIG' });
  expect(String(error)).toMatch(/cannot say what this model is/);
  expect(String(error)).toMatch(what);
  expect(existsSync(path)).toBe(false);
});
