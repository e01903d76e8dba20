import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Device } from '../../../graph/device.ts';
import type { Tensor } from '../../../graph/tensor.ts';
import { gelu } from '../../../ops/elementwise/activation.ts';
import { openReference } from '../../../reference.ts';
import { ExpressionWriter, NoExpressionError } from './expression-writer.ts';
import { GivenNames } from './names.ts';
import { Place } from './place.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

/** A writer for kernels that have `x` in a buffer. */
function writerFor(x: Tensor) {
  const names = new GivenNames();
  const writer = new ExpressionWriter({
    read: (tensor, place) => (tensor === x ? `${names.at['x']}(${place.linear()})` : undefined),
    dim: (dim) => `${dim}u`,
    prelude: names.prelude,
  });
  return { writer, names };
}

describe('a writer of expressions', () => {
  test('writes what leads to a value once, and asks for the functions that it calls', () => {
    const x = device.zeros([4, 8]);
    const root = x.transpose();
    const y = root.exp().add(root.exp());
    const { writer, names } = writerFor(x);
    const value = writer.value(y, Place.at(y.shape, ['i', 'j'], writer));
    expect([...writer.statements, value]).toEqual([
      'let t0 = (j * 8u + i);',
      'let t1 = x_at(t0);',
      'let t2 = safe_exp(t1);',
      'let t3 = (t2 + t2);',
      't3',
    ]);
    expect([...names.asked]).toEqual(['safe_exp']);
  });

  test('writes what has no WGSL of its own by what it is made of, and refuses what is no function of values', () => {
    const x = device.zeros([4]);
    const { writer } = writerFor(x);
    const exact = gelu(x);
    expect(exact.node.op.lower?.webgpu).toBeUndefined();
    expect(writer.value(exact, Place.at([4], ['i'], writer))).toMatch(/^t\d+$/);
    expect(writer.statements[0]).toBe('let t0 = x_at(i);');
    const sum = x.sum().reshape([1]);
    expect(() => writer.value(sum, Place.at([1], ['0u'], writer))).toThrow(NoExpressionError);
  });
});
