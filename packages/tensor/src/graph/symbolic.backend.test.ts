import { afterAll, expect } from 'vitest';
import { expectClose } from '../../../../test-support/operations.ts';
import { conformance, test } from '../../../../test-support/suite.ts';
import { compile } from '../compile/compile.ts';
import type { CompileOptions } from '../compile/compiled-function.ts';
import { addDims, multiplyDims } from '../dim.ts';
import { arange, full, sizeScalar } from '../ops/create/creation.ts';
import { where } from '../ops/elementwise/where.ts';
import { scatterAdd, take } from '../ops/indexing/gather.ts';
import { concat } from '../ops/movement/concat.ts';
import { expand, flatten, permute, reshape } from '../ops/movement/movement.ts';
import { pad, slice } from '../ops/movement/slice.ts';
import { linear } from '../ops/nn.ts';
import { argmax } from '../ops/reduce/extremum.ts';
import { mean, sum } from '../ops/reduce/reduce.ts';
import { rmsNorm } from '../ops/rows/rms-norm.ts';
import { softmax } from '../ops/rows/softmax.ts';
import { openReference } from '../reference.ts';
import type { Device } from './device.ts';
import type { Tensor } from './tensor.ts';

/** A function of x [T, 4], y [S, 4] and rows i32 [T], for every T and S. */
interface Symbolic {
  readonly name: string;
  readonly f: (x: Tensor, y: Tensor, rows: Tensor) => Tensor;
}

const cases: readonly Symbolic[] = [
  { name: 'elementwise and broadcasting', f: (x, y) => x.mul(y.sum(0)).add(1).exp() },
  { name: 'products over a fixed size', f: (x, y) => x.matmul(y, { transposeB: true }) },
  { name: 'products over a named size', f: (x) => x.matmul(x.tanh(), { transposeA: true }) },
  { name: 'linear and rmsNorm', f: (x, y) => linear(rmsNorm(x, y.device.ones([4])), x.device.full([3, 4], 0.5)) },
  { name: 'softmax over a named size', f: (x, y) => softmax(x.matmul(y, { transposeB: true })) },
  { name: 'reductions over a named size', f: (x) => concat([mean(x, 0), sum(x, 0), x.max(0), x.min(0)], 0) },
  { name: 'argmax over a named size', f: (x) => argmax(x, 0) },
  { name: 'mean of everything', f: (x, y) => mean(x).mul(mean(y)) },
  { name: 'concat of named sizes', f: (x, y) => concat([x, y, x], 0) },
  { name: 'reshape to and fro', f: (x) => reshape(permute(reshape(x, [x.shape[0]!, 2, 2]), [1, 0, 2]), [2, -1]) },
  { name: 'reshape merges named sizes', f: (x, y) => flatten(x.matmul(y, { transposeB: true })) },
  { name: 'reshape splits what was merged', f: (x) => reshape(flatten(x).mul(2), [-1, 2, 2]) },
  { name: 'expand to a named size', f: (x, y) => expand(y.sum(0, { keepDims: true }), [x.shape[0]!, 4]) },
  {
    name: 'full and arange of named sizes',
    f: (x, y) => full(x.device, [x.shape[0]!, 1], 3).add(arange(y.device, y.shape[0]!, 'f32')),
  },
  { name: 'sizeScalar of a named size', f: (x, y) => x.mul(sizeScalar(x.device, multiplyDims(2, y.shape[0]!))) },
  {
    name: 'sizeScalar of a sum',
    f: (x, y) => sizeScalar(x.device, addDims(addDims(x.shape[0]!, y.shape[0]!), 3), 'i32'),
  },
  { name: 'slice from a named place', f: (x, y) => slice(concat([x, y], 0), 0, x.shape[0]!) },
  { name: 'slice up to a named place', f: (x, y) => slice(concat([x, y], 0), 0, 0, x.shape[0]!) },
  { name: 'pad by a named size', f: (x, y) => pad(x, [1, 0], [y.shape[0]!, 2]) },
  { name: 'take at named places', f: (_, y, rows) => take(y, rows) },
  { name: 'scatterAdd to named rows', f: (x, y, rows) => scatterAdd(y.shape[0]!, rows, x) },
  { name: 'masks by position', f: (x, y) => causal(x.matmul(y, { transposeB: true })) },
];

function causal(scores: Tensor): Tensor {
  const [t, s] = scores.shape;
  const query = reshape(arange(scores.device, t!), [t!, 1]);
  return softmax(where(arange(scores.device, s!).lessEqual(query), scores, -1e9));
}

const sizes = [
  { T: 1, S: 1 },
  { T: 3, S: 5 },
  { T: 8, S: 2 },
  { T: 3, S: 5 },
];
const symbols = { T: 8, S: 6 };

const values = (length: number, salt: number) =>
  Float32Array.from({ length }, (_, i) => Math.fround(Math.sin(salt + i * 1.7)));

async function run(device: Device, f: Symbolic['f']): Promise<{ shape: readonly unknown[]; values: number[] }[]> {
  const options: CompileOptions<[Tensor, Tensor, Tensor]> = {
    device,
    symbols,
    inputs: [{ shape: ['T', 4] }, { shape: ['S', 4] }, { shape: ['T'], dtype: 'i32' }],
  };
  const compiled = compile(f, options);
  const results = [];
  for (const [round, { T, S }] of sizes.entries()) {
    const rows = Int32Array.from({ length: T }, (_, i) => (i * 3 + round) % S);
    const result = await compiled(values(T * 4, round), values(S * 4, round + 9), rows);
    results.push({ shape: result.shape, values: [...(await result.data())] });
  }
  compiled.dispose();
  return results;
}

conformance('symbolic dimensions', (device) => {
  const reference = openReference();
  afterAll(async () => (await reference).dispose());
  for (const { name, f } of cases)
    test(name, async () => {
      const [actual, expected] = [await run(device(), f), await run(await reference, f)];
      expected.forEach((one, i) => {
        expect(actual[i]!.shape).toEqual(one.shape);
        expectClose(actual[i]!.values, one.values, 1e-5);
      });
    });
});
