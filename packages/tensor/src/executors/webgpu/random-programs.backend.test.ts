import { expect } from 'vitest';
import { onWebGpu } from '../../../../../test-support/own-webgpu.ts';
import { test } from '../../../../../test-support/suite.ts';
import { compile } from '../../compile/compile.ts';
import { dimsEqual } from '../../dim.ts';
import type { Device } from '../../graph/device.ts';
import type { Tensor } from '../../graph/tensor.ts';
import type { Update, Variable } from '../../graph/variable.ts';
import { maximum } from '../../ops/elementwise/elementwise.ts';
import { where } from '../../ops/elementwise/where.ts';
import { take } from '../../ops/indexing/gather.ts';
import { matmul } from '../../ops/matmul/matmul.ts';
import { concat } from '../../ops/movement/concat.ts';
import { openReference } from '../../reference.ts';
import { broadcastShapes, shapesEqual } from '../../shape.ts';

/** A generator that gives the same numbers for the same seed. */
function numbersFrom(seed: number) {
  let state = seed * 7919 + 1;
  return (n: number): number => {
    state = (state * 48271) % 2147483647;
    return state % n;
  };
}

type Draw = (n: number) => number;

/** One more value from those that there are, by an operation that keeps values small; undefined where the draw does not fit. */
function grow(values: readonly Tensor[], draw: Draw): Tensor | undefined {
  const pick = () => values[draw(values.length)]!;
  const x = pick();
  const broadcast = (f: (a: Tensor, b: Tensor) => Tensor): Tensor | undefined => {
    const y = pick();
    try {
      broadcastShapes('test', [x.shape, y.shape]);
    } catch {
      return undefined;
    }
    return f(x, y);
  };
  const axis = draw(Math.max(1, x.rank));
  switch (draw(16)) {
    case 0:
      return broadcast((a, b) => a.add(b).mul(0.5));
    case 1:
      return broadcast((a, b) => a.mul(b).tanh());
    case 2:
      return broadcast((a, b) => maximum(a, b).sub(0.25));
    case 3:
      return broadcast((a, b) => where(a.less(b), a.neg(), b));
    case 4:
      return x.sin();
    case 5:
      return x.rank > 0 ? x.mean(axis, { keepDims: draw(2) === 0 }) : undefined;
    case 6:
      return x.rank > 0 ? x.max(axis, { keepDims: true }) : undefined;
    case 7:
      return x.rank > 1 ? x.softmax(axis) : undefined;
    case 8:
      return x.rank > 1 ? x.transpose(0, 1) : undefined;
    case 9:
      return x.flatten();
    case 10:
      return x.rank > 1 ? x.reshape([...x.shape.slice(1, -1), x.shape.at(-1)!, x.shape[0]!]) : undefined;
    case 11: {
      const others = values.filter(
        (y) => y.rank === x.rank && y.shape.every((d, i) => i === axis || dimsEqual(d, x.shape[i]!)),
      );
      return x.rank > 0 ? concat([x, others[draw(others.length)]!], axis) : undefined;
    }
    case 12: {
      const size = x.shape[axis];
      return typeof size === 'number' && size > 2 ? x.slice(axis, 1, size - draw(2), 1 + draw(2)) : undefined;
    }
    case 13: {
      const y = values.find((other) => other.rank === 2 && x.rank === 2 && dimsEqual(other.shape[1]!, x.shape[1]!));
      return y && matmul(x, y, { transposeB: true }).tanh();
    }
    case 14:
      return x.rank > 0 ? take(x, x.device.arange(3).mul(2), axis) : undefined;
    default:
      return x.rank > 0 ? x.sum(axis).mul(0.1) : undefined;
  }
}

/** The program of a seed: outputs, and updates of the variables, from two arguments. */
function program(seed: number, args: readonly Tensor[], variables: readonly Variable[]) {
  const draw = numbersFrom(seed);
  const values: Tensor[] = [...args, ...variables];
  const steps = 4 + draw(14);
  for (let tries = 0; values.length < steps + args.length && tries < 200; tries++) {
    const next = grow(values, draw);
    if (next && next.rank <= 3) values.push(next);
  }
  const outputs = Array.from(
    { length: 1 + draw(3) },
    () => values[values.length - 1 - draw(Math.min(6, values.length))]!,
  );
  const updates: Update[] = [];
  for (const variable of variables) {
    const fitting = values.filter((value) => value !== variable && shapesEqual(value.shape, variable.shape));
    if (draw(2) === 0 && fitting.length > 0)
      updates.push(variable.assign(fitting[draw(fitting.length)]!.add(variable).mul(0.5)));
  }
  return { outputs, updates };
}

const sample = (count: number, seed: number) =>
  Float32Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed));

/** What a device makes of a program over two runs of different sizes. */
async function run(device: Device, seed: number): Promise<number[][]> {
  const shapes: readonly (readonly number[])[] = [[8], [5, 8], [1, 8]];
  const variables = shapes.map((shape, i) =>
    device.variable(
      sample(
        shape.reduce((a, b) => a * b),
        i,
      ),
      { shape, name: `v${i}` },
    ),
  );
  const fn = compile((x: Tensor, y: Tensor) => program(seed, [x, y], variables), {
    device,
    inputs: [{ shape: ['T', 8] }, { shape: [5, 8] }],
    symbols: { T: 16 },
  });
  const found: number[][] = [];
  for (const T of [5, 12]) {
    const { outputs } = await fn(sample(8 * T, 3), sample(40, 4));
    for (const output of outputs) found.push([...(await output.data())]);
  }
  for (const variable of variables) {
    found.push([...(await variable.data())]);
    variable.dispose();
  }
  fn.dispose();
  return found;
}

onWebGpu('random programs', (device) => {
  test('give what the reference gives', { timeout: 600_000 }, async () => {
    const reference = await openReference();
    const count = /swiftshader/i.test(device().description) ? 15 : 150;
    for (let seed = 1; seed <= count; seed++) {
      const expected = await run(reference, seed);
      const got = await run(device(), seed);
      expect(got.length).toBe(expected.length);
      expected.forEach((values, k) => {
        const worst = values.reduce(
          (most, value, i) => Math.max(most, Math.abs(value - got[k]![i]!) / (1 + Math.abs(value))),
          0,
        );
        expect(got[k]!.length, `value ${k} of program ${seed}`).toBe(values.length);
        expect(worst, `value ${k} of program ${seed}`).toBeLessThan(1e-4);
      });
    }
    await reference.dispose();
  });
});
