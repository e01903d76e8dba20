import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { randomBits, randomUniform } from '../ops/create/random.ts';
import { where } from '../ops/elementwise/where.ts';
import { scatterAdd, take } from '../ops/indexing/gather.ts';
import { topK } from '../ops/indexing/sort.ts';
import { matmul } from '../ops/matmul/matmul.ts';
import { concat } from '../ops/movement/concat.ts';
import { pad } from '../ops/movement/slice.ts';
import { crossEntropy } from '../ops/nn.ts';
import { rmsNorm } from '../ops/rows/rms-norm.ts';
import { openReference } from '../reference.ts';
import { expectAllClose } from './all-close.ts';

/** A few operations that are recorded on any device. */
interface Program {
  readonly name: string;
  record(device: Device): readonly Tensor[];
}

const matrix = (device: Device, rows: number, columns: number, seed: number) =>
  randomUniform(device, [rows, columns], seed, { low: -2, high: 2 });

const programs: readonly Program[] = [
  {
    name: 'elementwise operations that broadcast',
    record: (device) => {
      const [x, y] = [matrix(device, 3, 1, 1), matrix(device, 1, 5, 2)];
      return [x.add(y).mul(x).exp().tanh(), x.less(y), where(x.less(y), x, y.sqrt().abs()), x.maximum(y).div(3)];
    },
  },
  {
    name: 'integers and bool',
    record: (device) => {
      const i = device.arange(12).reshape([3, 4]);
      return [i.mul(7).sub(20).div(3), i.cast('u32').add(5), i.cast('f32').cast('f16'), i.equal(3), i.cast('bool')];
    },
  },
  {
    name: 'reductions',
    record: (device) => {
      const x = matrix(device, 6, 70, 3);
      return [x.sum(), x.sum(0), x.mean(1, { keepDims: true }), x.max(1), x.min(0), x.argmax(1), x.softmax(-1)];
    },
  },
  {
    name: 'matrix products',
    record: (device) => {
      const [a, b] = [matrix(device, 9, 33, 4), matrix(device, 33, 17, 5)];
      return [
        matmul(a, b),
        matmul(a, matrix(device, 7, 33, 6), { transposeB: true }),
        matmul(a, matrix(device, 9, 4, 7), { transposeA: true }),
        matmul(a.reshape([3, 3, 33]), b),
      ];
    },
  },
  {
    name: 'movement',
    record: (device) => {
      const x = matrix(device, 4, 6, 8).reshape([2, 2, 6]);
      return [
        x.permute([2, 0, 1]),
        x.slice(2, 1, 6, 2),
        pad(x, [0, 1, 0], [0, 0, 2]),
        concat([x, x.slice(1, 0, 1)], 1),
        x.slice(0, 0, 1).expand([3, 2, 6]),
      ];
    },
  },
  {
    name: 'gathering, scattering and sorting',
    record: (device) => {
      const x = matrix(device, 8, 3, 9);
      const rows = topK(x.sum(1), 5).indices;
      return [take(x, rows), scatterAdd(8, rows, take(x, rows)), rows, topK(x, 2, 0).values];
    },
  },
  {
    name: 'normalisation and losses',
    record: (device) => {
      const x = matrix(device, 5, 8, 10);
      const targets = device.arange(5);
      return [rmsNorm(x, device.full([8], 1.5)), crossEntropy(x, targets)];
    },
  },
  { name: 'random bits', record: (device) => [randomBits(device, [5, 7], 2 ** 40 + 3)] },
];

/** Programs with a check against the reference executor. */
export const contractPrograms: readonly { readonly name: string; check(device: Device): Promise<void> }[] =
  programs.map(({ name, record }) => ({
    name,
    async check(device) {
      const reference = await openReference();
      try {
        const [actual, expected] = [record(device), record(reference)];
        await device.realize(actual);
        for (const [i, tensor] of actual.entries()) await expectAllClose(tensor, expected[i]!);
        for (const tensor of actual) tensor.dispose();
      } finally {
        await reference.dispose();
      }
    },
  }));
