import { openReference } from '@heddle/tensor/reference';
import { expectClose } from '../../../../test-support/operations.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { checkpoint } from '../autograd/checkpoint.ts';
import { grad } from '../autograd/grad.ts';
import { compile } from '../compile/compile.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv1d } from './convolution/convolution.ts';
import { oneHot, tril } from './create/construction.ts';
import { dropout } from './create/dropout.ts';
import { randomBits, randomNormal } from './create/random.ts';
import { einsum } from './einsum.ts';
import { gelu, softplus } from './elementwise/activation.ts';
import { scatterAddAlongAxis, takeAlongAxis } from './indexing/indexing.ts';
import { sort, topK } from './indexing/sort.ts';
import { repeat, roll, stack, tile } from './movement/arrange.ts';
import { flip } from './movement/flip.ts';
import { cumsum } from './reduce/cumsum.ts';
import { prod } from './reduce/prod.ts';
import { logSumExp, variance } from './reduce/statistics.ts';
import { groupNorm, layerNorm } from './rows/normalization.ts';

/** Functions of `x` [T, 4]. */
const functions: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  'gelu, softplus': (x) => gelu(softplus(x)),
  'cumsum along T': (x) => cumsum(x, 0),
  'cumsum along 4': (x) => cumsum(x, 1, { reverse: true }),
  'sort along T': (x) => sort(x, 0).values,
  'sort along 4': (x) => sort(x, 1).indices,
  'topK along 4': (x) => topK(x, 2).values,
  takeAlongAxis: (x) => takeAlongAxis(x, sort(x, 1).indices, 1),
  scatterAddAlongAxis: (x) => scatterAddAlongAxis(3, sort(x, 1).indices, x, 1),
  'flip, roll': (x) => roll(flip(x, 0), 1, 0),
  'tile, repeat': (x) => repeat(tile(x, [2, 1]), 3, 0),
  stack: (x) => stack([x, x.mul(2)], 1),
  tril: (x) => tril(x),
  oneHot: (x) => oneHot(x.cast('i32'), 5),
  'logSumExp, variance': (x) => logSumExp(x, 0).add(variance(x, 0)),
  prod: (x) => prod(x, 0),
  layerNorm: (x) => layerNorm(x),
  groupNorm: (x) => groupNorm(x.transpose().unsqueeze(0), 2),
  'conv1d along T': (x) => conv1d(x.transpose().unsqueeze(0), x.device.ones([4, 2, 3]), { padding: [2, 0], groups: 2 }),
  einsum: (x) => einsum('td,sd->ts', x, x),
  dropout: (x) => dropout(x, 0.4, 3),
  random: (x) => randomNormal(x.device, x.shape, 5).add(x),
  randomBits: (x) => randomBits(x.device, x.shape, 5),
  'gradient of a convolution': (x) =>
    grad((a: Tensor) =>
      conv1d(a.transpose().unsqueeze(0), a.device.ones([3, 4, 2]), { padding: 1 })
        .exp()
        .sum(),
    )(x.mul(0.1))[0]!,
  'gradient of a checkpoint': (x) =>
    grad((a: Tensor) => checkpoint((b: Tensor) => b.sin().mul(b))(a.exp()).sum())(x)[0]!,
};

const input = (rows: number) => Float32Array.from({ length: 4 * rows }, (_, i) => Math.sin(i * i + 1) * 2);

async function values(device: Device, f: (x: Tensor) => Tensor, rows: number): Promise<number[]> {
  return [...(await f(device.tensor(input(rows), { shape: [rows, 4] })).data())];
}

conformance('operations with a symbolic dimension', (device) => {
  for (const [name, f] of Object.entries(functions))
    test(name, async () => {
      const reference = await openReference();
      const step = compile(f, { device: device(), inputs: [{ shape: ['T', 4] }], symbols: { T: 9 } });
      for (const rows of [5, 1, 9]) {
        const out = await step(input(rows));
        const expected = await values(reference, f, rows);
        expectClose([...(await out.data())], expected, out.dtype === 'f32' ? 2e-5 : 0);
      }
      step.dispose();
      await reference.dispose();
    });
});
