import { openReference } from '@heddle/tensor/reference';
import fc from 'fast-check';
import { afterAll, expect } from 'vitest';
import { expectClose } from '../../../../test-support/operations.ts';
import { runs } from '../../../../test-support/properties.ts';
import { backendName, conformance, test } from '../../../../test-support/suite.ts';
import { type DType, isFloat } from '../dtype.ts';
import { f16ToF32 } from '../float16.ts';
import type { Device } from '../graph/device.ts';
import type { Tensor } from '../graph/tensor.ts';
import { conv1d, conv2d } from './convolution/convolution.ts';
import { tril } from './create/construction.ts';
import { gelu, relu, softplus } from './elementwise/activation.ts';
import { add, mul } from './elementwise/elementwise.ts';
import { where } from './elementwise/where.ts';
import { takeAlongAxis } from './indexing/indexing.ts';
import { sort, topK } from './indexing/sort.ts';
import { matmul } from './matmul/matmul.ts';
import { repeat, roll, stack, tile } from './movement/arrange.ts';
import { flip } from './movement/flip.ts';
import { pad, slice } from './movement/slice.ts';
import { cumsum } from './reduce/cumsum.ts';
import { max, min } from './reduce/extremum.ts';
import { prod } from './reduce/prod.ts';
import { sum } from './reduce/reduce.ts';
import { logSumExp, variance } from './reduce/statistics.ts';
import { groupNorm, layerNorm } from './rows/normalization.ts';
import { logSoftmax, softmax } from './rows/softmax.ts';

/** Values of a tensor by its shape, seed and dtype, with NaN and infinities among them where they are asked for. */
interface Drawn {
  readonly shape: readonly number[];
  readonly dtype: DType;
  readonly seed: number;
}

function valuesOf({ dtype, seed }: Drawn, size: number): Float64Array {
  let state = seed >>> 0;
  const isSpecial = isFloat(dtype) && seed % 4 === 0;
  return Float64Array.from({ length: size }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    const value = (state >>> 8) / 2 ** 22 - 2;
    if (isSpecial && state % 16 === 0) return [Number.NaN, Infinity, -Infinity, -0][(state >>> 12) % 4]!;
    return isFloat(dtype) ? Math.round(value * 128) / 128 : Math.floor(value * 4) + (dtype === 'u32' ? 8 : 0);
  });
}

/** The drawn values, as they lie or through a view: turned, cut out of more, or reversed. */
function place(device: Device, drawn: Drawn): Tensor {
  const { shape, dtype, seed } = drawn;
  const make = (of: readonly number[]) => {
    const size = of.reduce((a, b) => a * b, 1);
    return device.tensor(valuesOf(drawn, size), { shape: of, dtype });
  };
  switch (shape.length === 0 ? 0 : seed % 5) {
    case 1:
      return make([...shape].reverse()).permute(shape.map((_, axis) => shape.length - 1 - axis));
    case 2:
      return slice(make([...shape.slice(0, -1), 2 * shape.at(-1)! + 1]), -1, 1, undefined, 2);
    case 3:
      return flip(make(shape), 0);
    default:
      return make(shape);
  }
}

const size = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.constantFrom(1, 0, 17, 33) },
);
const shapeOf = (rank: number) => fc.array(size, { minLength: rank, maxLength: rank });
const shape = fc.integer({ min: 1, max: 4 }).chain(shapeOf);
const floatType = fc.constantFrom<DType>('f32', 'f32', 'f16');
const numberType = fc.constantFrom<DType>('f32', 'f32', 'f16', 'i32', 'u32');
const seed = fc.integer({ min: 1, max: 1e9 });
const drawn = (dtype: fc.Arbitrary<DType>, shapes = shape): fc.Arbitrary<Drawn> =>
  fc.record({ shape: shapes, dtype, seed });

/** An application of operations to drawn operands; its text names it in a failure. */
interface Application {
  readonly inputs: readonly Drawn[];
  readonly text: string;
  readonly f: (...inputs: Tensor[]) => Tensor;
}

const axisOf = ({ shape: { length } }: Drawn) => fc.integer({ min: -length, max: length - 1 });
const along = (name: string, f: (x: Tensor, axis: number) => Tensor, dtype: fc.Arbitrary<DType> = numberType) =>
  drawn(dtype).chain((x) =>
    axisOf(x).map((axis): Application => ({ inputs: [x], text: `${name} along ${axis}`, f: (t) => f(t, axis) })),
  );
const alike = (name: string, f: (x: Tensor) => Tensor, dtype: fc.Arbitrary<DType> = floatType) =>
  drawn(dtype).map((x): Application => ({ inputs: [x], text: name, f }));

/** Two shapes that broadcast. */
const pair = shape.chain((full) =>
  fc
    .tuple(fc.array(fc.boolean(), { minLength: full.length, maxLength: full.length }), fc.nat(full.length))
    .map(([ones, dropped]) => [full, full.map((dim, i) => (ones[i] ? 1 : dim)).slice(dropped)] as const),
);
const binary = (name: string, f: (a: Tensor, b: Tensor) => Tensor, dtype = numberType) =>
  fc.tuple(pair, dtype, seed).map(
    ([[a, b], type, s]): Application => ({
      inputs: [
        { shape: a, dtype: type, seed: s },
        { shape: b, dtype: type, seed: s + 1 },
      ],
      text: name,
      f,
    }),
  );

const positive = fc.integer({ min: 1, max: 9 });
const products = fc
  .tuple(
    fc.array(positive, { maxLength: 2 }),
    positive,
    positive,
    positive,
    fc.boolean(),
    fc.boolean(),
    floatType,
    seed,
  )
  .map(
    ([batch, m, k, n, transposeA, transposeB, dtype, s]): Application => ({
      inputs: [
        { shape: [...batch, ...(transposeA ? [k, m] : [m, k])], dtype, seed: s },
        { shape: transposeB ? [n, k] : [k, n], dtype, seed: s + 1 },
      ],
      text: `matmul ${transposeA} ${transposeB}`,
      f: (a, b) => matmul(a, b, { transposeA, transposeB }),
    }),
  );

const small = fc.integer({ min: 1, max: 3 });
const convolutions = fc
  .record({
    axes: fc.constantFrom(1, 2),
    n: small,
    groups: small,
    each: small,
    out: small,
    kernel: small,
    stride: small,
    dilation: small,
    padding: fc.nat(3),
    room: fc.nat(5),
    s: seed,
  })
  .map(({ axes, n, groups, each, out, kernel, stride, dilation, padding, room, s }): Application => {
    const reach = dilation * (kernel - 1) + 1;
    const spatial = new Array<number>(axes).fill(Math.max(1, reach - 2 * padding) + room);
    const options = { stride, dilation, padding, groups };
    return {
      inputs: [
        { shape: [n, groups * each, ...spatial], dtype: 'f32', seed: s },
        { shape: [groups * out, each, ...new Array<number>(axes).fill(kernel)], dtype: 'f32', seed: s + 1 },
      ],
      text: `conv${axes}d ${JSON.stringify(options)}`,
      f: (x, w) => (axes === 1 ? conv1d(x, w, options) : conv2d(x, w, options)),
    };
  });

const applications: fc.Arbitrary<Application> = fc.oneof(
  binary('add', add),
  binary('mul', mul),
  binary('where', (a, b) => where(a.less(b), a, b)),
  alike('relu', relu),
  alike('gelu', (x) => gelu(x)),
  alike('softplus', softplus),
  along('sum', (x, axis) => sum(x, axis)),
  along('max', (x, axis) => max(x, axis)),
  along('min', (x, axis) => min(x, axis)),
  along('prod', (x, axis) => prod(x, axis), fc.constant('f32')),
  along('softmax', softmax, floatType),
  along('logSoftmax', logSoftmax, floatType),
  along('logSumExp', (x, axis) => logSumExp(x, axis), floatType),
  along('variance', (x, axis) => variance(x, axis), fc.constant('f32')),
  along('cumsum', (x, axis) => cumsum(x, axis)),
  along('sort', (x, axis) => sort(x, axis).values),
  along('sort places', (x, axis) => sort(x, axis, { descending: true }).indices),
  along('topK', (x, axis) => topK(x, Math.min(2, x.shape.at(axis) as number), axis).values),
  along('takeAlongAxis', (x, axis) => takeAlongAxis(x, sort(x, axis).indices, axis)),
  along('flip', (x, axis) => flip(x, axis)),
  along('roll', (x, axis) => roll(x, 3, axis)),
  along('repeat', (x, axis) => repeat(x, 2, axis)),
  alike('tile', (x) => tile(x, [2, 1, 3]), numberType),
  alike('stack', (x) => stack([x, x], -1), numberType),
  alike(
    'pad',
    (x) =>
      pad(
        x,
        x.shape.map((_, i) => i % 2),
        x.shape.map(() => 1),
      ),
    numberType,
  ),
  alike('layerNorm', (x) => layerNorm(x)),
  drawn(floatType, fc.integer({ min: 2, max: 4 }).chain(shapeOf)).map(
    (x): Application => ({ inputs: [x], text: 'tril', f: (t) => tril(t, 1) }),
  ),
  fc.tuple(small, small, small, positive, seed).map(
    ([n, groups, each, places, s]): Application => ({
      inputs: [{ shape: [n, groups * each, places], dtype: 'f32', seed: s }],
      text: `groupNorm ${groups}`,
      f: (x) => groupNorm(x, groups),
    }),
  ),
  products,
  convolutions,
);

const relative: Readonly<Partial<Record<DType, number>>> = { f32: 1e-5, f16: 4e-3, i32: 0, u32: 0, bool: 0 };
/** Applications that are computed together, and how many lots of them: few where kernels compile slowly. */
const lot = 20;
const lotsOn = (device: Device) =>
  !backendName.startsWith('webgpu') ? 30 : /swiftshader/i.test(device.description) ? 2 : 10;

conformance('operations on drawn shapes and views', (device) => {
  const reference = openReference();
  afterAll(async () => (await reference).dispose());

  test('agree with the reference', { timeout: 600_000 }, async () => {
    const numbers = async (tensor: Tensor) => {
      const data = await tensor.data();
      return [...(tensor.dtype === 'f16' ? f16ToF32(data as Uint16Array) : data)];
    };
    await fc.assert(
      fc.asyncProperty(fc.array(applications, { minLength: lot, maxLength: lot }), async (list) => {
        const record = (on: Device) => list.map(({ inputs, f }) => f(...inputs.map((input) => place(on, input))));
        const [actual, expected] = [record(device()), record(await reference)];
        await device().realize(actual);
        await (await reference).realize(expected);
        for (const [i, { text, inputs }] of list.entries()) {
          const [got, want] = [actual[i]!, expected[i]!];
          const name = `${text} of ${inputs.map(({ shape: of, dtype }) => `${dtype}[${of}]`).join(', ')}`;
          expect(got.shape, name).toEqual(want.shape);
          try {
            expectClose(await numbers(got), await numbers(want), relative[want.dtype] ?? 0);
          } catch (cause) {
            throw new Error(`${name}: ${(cause as Error).message}`);
          }
        }
        for (const tensor of [...actual, ...expected]) tensor.dispose();
        await device().trim();
      }),
      runs(lotsOn(device()), 20_240_601),
    );
  });
});
