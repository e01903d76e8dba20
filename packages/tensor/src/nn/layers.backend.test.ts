import { expect } from 'vitest';
import { conformance, test } from '../../../../test-support/suite.ts';
import { grad } from '../autograd/grad.ts';
import type { Tensor } from '../graph/tensor.ts';
import type { Variable } from '../graph/variable.ts';
import {
  createConv1d,
  createConv2d,
  createDropout,
  createEmbedding,
  createLayerNorm,
  createLinear,
  createRmsNorm,
  createSequential,
  type Layer,
  parametersOf,
} from '../nn.ts';
import { conv1d, conv2d } from '../ops/convolution/convolution.ts';
import { embedding } from '../ops/indexing/gather.ts';
import { linear } from '../ops/nn.ts';
import { layerNorm } from '../ops/rows/normalization.ts';
import { rmsNorm } from '../ops/rows/rms-norm.ts';
import { loadTensors, tensorsToBlob } from '../safetensors.ts';

conformance('layers', (device) => {
  test('are the operations of their names with their parameters', async () => {
    const d = device();
    const ramp = (...shape: number[]) =>
      d
        .arange(
          shape.reduce((a, b) => a * b),
          'f32',
        )
        .mul(0.1)
        .sin()
        .reshape(shape);
    type Parameters = { weight: Variable; bias?: Variable };
    const check = async (layer: Layer, x: Tensor, expected: (p: Parameters) => Tensor, sizes: unknown) => {
      const parameters = layer.parameters as unknown as Parameters;
      expect(Object.entries(parameters).map(([name, { shape }]) => [name, shape])).toEqual(sizes);
      expect(await layer.forward(x).data()).toEqual(await expected(parameters).data());
      layer.dispose();
      layer.dispose();
      expect(() => layer.forward(x)).toThrow(/disposed of/);
    };
    const x = ramp(2, 3, 4);
    const size = { inputs: 4, outputs: 5, seed: 3 };
    await check(createLinear(d, size), x, (p) => linear(x, p.weight, p.bias), [
      ['weight', [5, 4]],
      ['bias', [5]],
    ]);
    await check(createLinear(d, { ...size, bias: false }), x, (p) => linear(x, p.weight), [['weight', [5, 4]]]);
    const ids = d.tensor([1, 0, 6], { dtype: 'i32' });
    const table = createEmbedding(d, { count: 7, width: 4, seed: 1 });
    await check(table, ids, (p) => embedding(p.weight, ids), [['weight', [7, 4]]]);
    const norm = createLayerNorm(d, { width: 4, epsilon: 1e-3 });
    await check(norm, x, (p) => layerNorm(x, p.weight, p.bias, 1e-3), [
      ['weight', [4]],
      ['bias', [4]],
    ]);
    await check(createRmsNorm(d, { width: 4 }), x, (p) => rmsNorm(x, p.weight), [['weight', [4]]]);
    const moves = { stride: 2, padding: 1, groups: 3 };
    const line = createConv1d(d, { inputs: 3, outputs: 6, kernel: 2, seed: 1, ...moves });
    await check(line, x, (p) => conv1d(x, p.weight, { ...moves, bias: p.bias! }), [
      ['weight', [6, 1, 2]],
      ['bias', [6]],
    ]);
    const image = ramp(1, 2, 4, 4);
    const plane = createConv2d(d, { inputs: 2, outputs: 3, kernel: [3, 2], bias: false, seed: 1 });
    await check(plane, image, (p) => conv2d(image, p.weight), [['weight', [3, 2, 3, 2]]]);
    ids.dispose();
  });

  test('in a row have names as in PyTorch, keys of their own, gradients, and come back from a file', async () => {
    const d = device();
    const make = (seed: number) =>
      createSequential(
        createLinear(d, { inputs: 4, outputs: 64, seed }),
        (x) => x.relu(),
        createDropout(0.5),
        createDropout(0.5),
        createLinear(d, { inputs: 64, outputs: 2, seed: seed + 1 }),
      );
    const model = make(1);
    const x = d.tensor([[1, -2, 0.5, 3]]);
    expect(Object.keys(model.parameters)).toEqual(['0', '4']);
    expect(parametersOf(model).map(({ name }) => name)).toEqual(['weight', 'bias', 'weight', 'bias']);
    const saved = await tensorsToBlob(model.parameters);
    const flat = await loadTensors(d, saved);
    expect(Object.keys(flat).sort()).toEqual(['0.bias', '0.weight', '4.bias', '4.weight']);
    const still = await model.forward(x).toArray();
    expect(await model.forward(x).toArray()).toEqual(still);
    const dropped = await model.forward(x, { key: 5 }).toArray();
    expect(dropped).not.toEqual(still);
    expect(await model.forward(x, { key: 5 }).toArray()).toEqual(dropped);
    expect(await model.forward(x, { key: 6 }).toArray()).not.toEqual(dropped);
    const [slope] = grad((input: Tensor) => model.forward(input).sum())(x);
    expect(slope.shape).toEqual([1, 4]);
    const other = make(10);
    expect(await other.forward(x).toArray()).not.toEqual(still);
    const loaded = await loadTensors(d, saved, { like: other.parameters });
    const first = loaded['0'] as unknown as { weight: Variable };
    await d.realize([], [(other.parameters['0'] as { weight: Variable }).weight.assign(first.weight)]);
    for (const tensor of Object.values(flat)) tensor.dispose();
    for (const layer of [model, other]) layer.dispose();
    x.dispose();
  });

  test('mistakes are named', () => {
    const d = device();
    expect(() => createLinear(d, { inputs: 4, outputs: 0, seed: 1 })).toThrow(
      'createLinear: outputs must be a positive integer, got 0',
    );
    expect(() => createLinear(d, { inputs: 4, outputs: 2, seeds: 1 } as never)).toThrow('has no option seeds');
    expect(() => createLinear(undefined as never, { inputs: 4, outputs: 2, seed: 1 })).toThrow('takes a device');
    expect(() => createDropout(2)).toThrow('createDropout: the rate must be in [0, 1], got the number 2');
    expect(() => createSequential({} as never)).toThrow('createSequential: takes layers and functions, got Object');
    expect(() => createConv2d(d, { inputs: 3, outputs: 4, kernel: 3, groups: 2, seed: 1 })).toThrow(
      'groups must divide',
    );
  });
});
