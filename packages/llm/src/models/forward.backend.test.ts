import type { Tensor } from '@heddle/tensor';
import { openSafetensors } from '@heddle/tensor/safetensors';
import { expect } from 'vitest';
import { sharedModel } from '../../../../test-support/model-files.ts';
import { needShared, sharedMissing } from '../../../../test-support/shared.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { tinyLlama } from '../../../../test-support/tiny-llama.ts';
import { loadModel } from '../index.ts';

const path = 'fixtures/models/llama-mqa';

conformance('a forward pass', (device) => {
  test('gives the hidden states that transformers gives, of all rows and of those that are wanted', async (context) => {
    const files = (await sharedModel(path)) ?? context.skip(sharedMissing(path));
    const file = await openSafetensors(await needShared(context, `${path}/expected.safetensors`));
    const model = await loadModel(files, { device: device() });
    const [count, length] = file.info('input_ids').shape as [number, number];
    const ids = new Int32Array((await file.read('input_ids')).buffer);
    const { layers, hiddenSize: E } = model.config;
    const wanted = [layers, ...Array.from({ length: layers }, (_, layer) => layer)];
    const tokens = device().tensor(ids, { shape: [count, length] });
    const whole = model.forward({ tokens, hidden: wanted });
    const packed = {
      tokens: tokens.flatten(),
      positions: device().tensor(Int32Array.from(ids, (_, i) => i % length)),
      segments: device().tensor(Int32Array.from(ids, (_, i) => Math.floor(i / length))),
    };
    const rows = Int32Array.of(3, length + 1, 3);
    const some = model.forward({ ...packed, rows: device().tensor(rows), hidden: wanted });
    expect(some.logits.shape).toEqual([3, model.config.vocabularySize]);
    for (const [i, layer] of wanted.entries()) {
      const expected = new Float32Array((await file.read(`hidden_${layer}`)).buffer);
      const all = (await whole.hidden[i]!.data()) as Float32Array;
      expect(whole.hidden[i]!.shape).toEqual([count, length, E]);
      expect(Math.max(...all.map((value, at) => Math.abs(value - expected[at]!)))).toBeLessThan(1e-4);
      const few = (await some.hidden[i]!.data()) as Float32Array;
      expect(some.hidden[i]!.shape).toEqual([3, E]);
      rows.forEach((row, r) => {
        for (let e = 0; e < E; e++) expect(few[r * E + e]).toBeCloseTo(expected[row * E + e]!, 3);
      });
    }
    expect(() => model.forward({ tokens, hidden: [layers + 1] })).toThrow(/hidden takes layers from 0 to/);
    await model.dispose();
  });

  test('asks adapters at every linear layer by its name, and hooks before every layer and after the last', async () => {
    const model = await loadModel(tinyLlama(), { device: device() });
    const tokens = device().tensor(Int32Array.of(1, 2, 3), { shape: [1, 3] });
    const plain = model.forward({ tokens }).logits;
    const sites: string[] = [];
    const places: number[] = [];
    const nothing = model.forward({
      tokens,
      adapters: {
        add(site, _, y) {
          sites.push(site);
          return y;
        },
      },
      hooks: {
        digest: 'nothing',
        at(layer, x) {
          places.push(layer);
          return x;
        },
      },
    }).logits;
    expect(await nothing.data()).toEqual(await plain.data());
    const matrices = model.parameters.filter(({ shape, name }) => shape.length === 2 && !name.includes('embed_tokens'));
    expect(sites.sort()).toEqual(matrices.map(({ name }) => name.replace('.weight', '')).sort());
    expect(places).toEqual([0, 1, 2]);
    // twice the result of the head; the residual stream before the final norm three times as large, which the norm takes back
    const twice = model.forward({
      tokens,
      adapters: { add: (site, _, y) => (site === 'lm_head' ? y.mul(2) : y) },
      hooks: { digest: 'larger', at: (layer, x) => (layer === 2 ? x.mul(3) : x) },
    }).logits;
    const [got, expected] = (await Promise.all([twice.data(), plain.data()])) as [Float32Array, Float32Array];
    for (const [i, value] of got.entries()) expect(value).toBeCloseTo(2 * expected[i]!, 4);
    // an adapter of rank 1 on one projection is that projection with a weight that was changed
    const add = (site: string, x: Tensor, y: Tensor) =>
      site.endsWith('layers.0.mlp.up_proj') ? y.add(x.sum(-1, { keepDims: true })) : y;
    const adapted = (await model.forward({ tokens, adapters: { add } }).logits.data()) as Float32Array;
    const changed = await loadModel(
      tinyLlama((name, data) => {
        if (name === 'model.layers.0.mlp.up_proj.weight') data.set(data.map((value) => value + 1));
      }),
      { device: device() },
    );
    const merged = (await changed.forward({ tokens }).logits.data()) as Float32Array;
    for (const [i, value] of adapted.entries()) expect(value).toBeCloseTo(merged[i]!, 4);
    await changed.dispose();
    await model.dispose();
  });

  test('rows of a batch see their own sequence only; layers run through blocks, which a trainer may compute again', async () => {
    const model = await loadModel(tinyLlama(), { device: device() });
    const batch = (data: number[]) => device().tensor(Int32Array.from(data), { shape: [1, data.length] });
    const alone = (await model.forward({ tokens: batch([4, 5, 6]) }).logits.data()) as Float32Array;
    const packed = {
      tokens: batch([1, 2, 3, 4, 5, 6, 0]),
      positions: batch([0, 1, 2, 0, 1, 2, 0]),
      segments: batch([0, 0, 0, 1, 1, 1, -1]),
    };
    const together = (await model.forward(packed).logits.data()) as Float32Array;
    const V = model.config.vocabularySize;
    for (const [i, value] of alone.entries()) expect(together[3 * V + i]).toBeCloseTo(value, 4);

    const ran: number[] = [];
    const blocks = (x: Tensor, layers: readonly ((x: Tensor) => Tensor)[]) => {
      ran.push(layers.length);
      return layers.reduce((state, layer) => layer(state), x);
    };
    const through = model.forward({ ...packed, blocks, hidden: [2] });
    expect(await through.logits.data()).toEqual(together);
    expect(ran).toEqual([2]);
    expect(model.headWeight!.shape).toEqual([V, model.config.hiddenSize]);
    expect(() => model.forward({ ...packed, blocks, hidden: [1] })).toThrow(/with blocks hidden takes 2, .* got 1/);
    await model.dispose();
  });
});
