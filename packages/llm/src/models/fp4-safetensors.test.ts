import { decodeBlocks, quantize } from '@heddle/tensor/quantized';
import { openReference } from '@heddle/tensor/reference';
import { openSafetensors, type SafetensorsEntry, writeSafetensors } from '@heddle/tensor/safetensors';
import { expect, test } from 'vitest';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel, type ModelFiles } from '../index.ts';

const fields = {
  architectures: ['GptOssForCausalLM'],
  hidden_size: 32,
  head_dim: 8,
  intermediate_size: 64,
  num_local_experts: 3,
  num_experts_per_tok: 2,
  num_hidden_layers: 1,
};
const quantized = { ...fields, quantization_config: { quant_method: 'mxfp4' } };

/**
 * A tiny gpt-oss whose experts are stored as OpenAI's files have them, and the same one in f32 of the values that they stand for.
 * Neighbours share a byte there; in the blocks that are made here the first and the second half of a block do.
 */
async function both(): Promise<{ readonly blocks: ModelFiles; readonly floats: ModelFiles }> {
  const plain = tinyLlama(() => {}, fields);
  const file = await openSafetensors((await plain.open('model.safetensors')) as Uint8Array<ArrayBuffer>);
  const [blocks, floats]: [Record<string, SafetensorsEntry>, Record<string, SafetensorsEntry>] = [{}, {}];
  for (const name of file.names()) {
    const { shape } = file.info(name);
    const data = new Float32Array((await file.read(name)).buffer);
    if (!/experts\.(gate_up|down)_proj$/.test(name)) {
      floats[name] = { dtype: 'F32', shape, data };
      blocks[name] = floats[name];
      continue;
    }
    const [N, inSize, outSize] = shape as [number, number, number];
    const byRow = new Float32Array(data.length);
    for (let n = 0; n < N; n++)
      for (let i = 0; i < inSize; i++)
        for (let o = 0; o < outSize; o++) byRow[(n * outSize + o) * inSize + i] = data[(n * inSize + i) * outSize + o]!;
    const made = quantize(byRow, 'mxfp4');
    const held = decodeBlocks('MXFP4', made, [N, outSize, inSize]);
    const back = new Float32Array(data.length);
    for (let n = 0; n < N; n++)
      for (let i = 0; i < inSize; i++)
        for (let o = 0; o < outSize; o++) back[(n * inSize + i) * outSize + o] = held[(n * outSize + o) * inSize + i]!;
    floats[name] = { dtype: 'F32', shape, data: back };
    const count = made.length / 17;
    const [scales, pairs] = [new Uint8Array(count), new Uint8Array(count * 16)];
    for (let block = 0; block < count; block++) {
      scales[block] = made[block * 17]!;
      const level = (i: number) => (made[block * 17 + 1 + (i % 16)]! >> (i < 16 ? 0 : 4)) & 15;
      for (let i = 0; i < 16; i++) pairs[block * 16 + i] = level(2 * i) | (level(2 * i + 1) << 4);
    }
    blocks[`${name}_blocks`] = { dtype: 'U8', shape: [N, outSize, inSize / 32, 16], data: pairs };
    blocks[`${name}_scales`] = { dtype: 'U8', shape: [N, outSize, inSize / 32], data: scales };
  }
  const config = async (more: object) =>
    new TextEncoder().encode(
      JSON.stringify({
        ...(JSON.parse(new TextDecoder().decode((await plain.open('config.json')) as Uint8Array)) as object),
        ...more,
      }),
    );
  const filesOf = (
    label: string,
    text: Uint8Array<ArrayBuffer>,
    tensors: Record<string, SafetensorsEntry>,
  ): ModelFiles => {
    const bytes = writeSafetensors(tensors);
    return { label, open: (name) => ({ 'config.json': text, 'model.safetensors': bytes })[name] };
  };
  return {
    blocks: filesOf('blocks', await config(quantized), blocks),
    floats: filesOf('floats', await config(fields), floats),
  };
}

test("experts in MXFP4 stay as they are, and are the floats that they stand for; gradients' weights become floats", async () => {
  await using device = await openReference();
  const { blocks, floats } = await both();
  const run = async (files: ModelFiles, options: object = {}) => {
    await using model = await loadModel(files, { device, ...options });
    const result = await model.logits([[1, 2, 3, 4, 5]]);
    const values = [...((await result.data()) as Float32Array)];
    result.dispose();
    return { values, dtypes: new Set(model.parameters.map(({ dtype }) => dtype)), notes: model.notes };
  };
  const expected = await run(floats);
  const kept = await run(blocks);
  expect(kept.dtypes).toEqual(new Set(['f32', 'mxfp4']));
  expect(kept.notes).toEqual([]);
  expect(kept.values).toEqual(expected.values);
  const trained = await run(blocks, { trainable: true });
  expect(trained.dtypes).toEqual(new Set(['f32']));
  expect(trained.values).toEqual(expected.values);
  expect((await run(blocks, { dtype: 'f16' })).dtypes).toEqual(new Set(['f32', 'f16']));
});

test('blocks and scales that do not fit, and other kinds of quantisation, are refused', async () => {
  await using device = await openReference();
  const { blocks } = await both();
  const file = await openSafetensors((await blocks.open('model.safetensors')) as Uint8Array<ArrayBuffer>);
  const changed = async (change: (tensors: Record<string, SafetensorsEntry>) => void, config: object = {}) => {
    const tensors: Record<string, SafetensorsEntry> = {};
    for (const name of file.names()) {
      const { dtype, shape } = file.info(name);
      tensors[name] = { dtype, shape, data: await file.read(name) };
    }
    change(tensors);
    const text = JSON.parse(new TextDecoder().decode((await blocks.open('config.json')) as Uint8Array)) as object;
    const parts: Record<string, Uint8Array<ArrayBuffer>> = {
      'config.json': new TextEncoder().encode(JSON.stringify({ ...text, ...config })),
      'model.safetensors': writeSafetensors(tensors),
    };
    return loadModel({ label: 'changed', open: (name) => parts[name] }, { device });
  };
  const name = 'model.layers.0.mlp.experts.down_proj';
  await expect(
    changed((tensors) => {
      tensors[`${name}_scales`] = { dtype: 'U8', shape: [3, 32, 1], data: new Uint8Array(96) };
    }),
  ).rejects.toThrow(/down_proj: blocks and scales must be U8 .*, got U8 \[3, ?32, ?2, ?16\] and U8 \[3, ?32, ?1\]/);
  await expect(changed((tensors) => delete tensors[`${name}_scales`])).rejects.toThrow(/down_proj .*is missing/);
  await expect(changed(() => {}, { quantization_config: { quant_method: 'awq' } })).rejects.toThrow(
    /quantization_config: expected mxfp4: such weights cannot be read/,
  );
  expect(device.memory().live).toBe(0);
});
