import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { runs } from '../../../../test-support/properties.ts';
import { gradients } from '../autograd/gradients.ts';
import { concat } from '../ops/movement/concat.ts';
import { identity } from '../ops/movement/identity.ts';
import { openReference } from '../reference.ts';
import { buildGraph } from './build.ts';
import type { Device } from './device.ts';
import { defineOp, inputOp, type Op } from './op.ts';
import { record, recordOn, recordOne } from './record.ts';
import type { Tensor } from './tensor.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const build = (outputs: readonly Tensor[], leaves: 'inputs' | 'constants' = 'inputs') =>
  buildGraph(device.executor, { outputs, updates: [], inputs: [] }, leaves);
const operations = (outputs: readonly Tensor[]) => build(outputs).graph.nodes.map(({ op }) => op.name);
const count = (outputs: readonly Tensor[], name: string) => operations(outputs).filter((op) => op === name).length;

/** An operation that gives its attribute, as every executor of this file can. */
function constantOp(name: string, times = 1): Op<{ readonly value: unknown }> {
  return defineOp({
    name,
    shape: () => [{ shape: [], dtype: 'f32' }],
    lower: { reference: { run: ({ attributes }) => [Float64Array.of(Number(attributes.value) * times)] } },
  });
}

describe('equal applications become one', () => {
  test('over the whole recording', () => {
    const x = device.tensor([1, 2]);
    const again = () => x.add(3).exp();
    expect(operations([again().mul(again()), again().sub(1)])).toEqual(['full', 'add', 'exp', 'mul', 'full', 'sub']);
    x.dispose();
  });

  test('but not those of other inputs, other order, another dtype or other attributes', () => {
    const [x, y] = [device.tensor([1, 2]), device.tensor([3, 4])];
    expect(count([x.sub(y), y.sub(x)], 'sub')).toBe(2);
    expect(count([x.add(y), x.add(x)], 'add')).toBe(2);
    expect(count([x.cast('i32'), x.cast('u32'), x.cast('i32')], 'cast')).toBe(2);
    expect(count([device.zeros([2]), device.zeros([3]), device.zeros([2], 'i32'), device.zeros([2])], 'full')).toBe(3);
    for (const tensor of [x, y]) tensor.dispose();
  });

  test('attributes are told apart where JSON is not enough', async () => {
    const op = constantOp('constant');
    const values = [
      Number.NaN,
      'NaN',
      null,
      0,
      -0,
      '-0',
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      'Infinity',
      [1, 2],
      [1, [2]],
      '[1,2]',
      true,
      'true',
      1,
    ];
    const tensors = values.map((value) => recordOn(device, op, [], { value })[0]!);
    const again = values.map((value) => recordOn(device, op, [], { value })[0]!);
    expect(build([...tensors, ...again]).graph.nodes).toHaveLength(values.length);
    await device.realize(tensors);
    const numbers = await Promise.all([0, 3, 4, 6, 7].map((i) => tensors[i]!.item()));
    expect(numbers).toEqual([Number.NaN, 0, -0, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]);
    for (const tensor of tensors) tensor.dispose();
  });

  test('whatever the attributes are', () => {
    const op = constantOp('constant');
    const plain = fc.jsonValue({ maxDepth: 2 });
    const number = fc.double();
    fc.assert(
      fc.property(fc.oneof(plain, number), fc.oneof(plain, number), (a, b) => {
        const nodes = build([a, b, a].map((value) => recordOn(device, op, [], { value })[0]!)).graph.nodes;
        const equal = JSON.stringify(a) === JSON.stringify(b) && (typeof a !== 'number' || Object.is(a, b));
        // arrays and objects of numbers differ by JSON, except for -0 in them, which may stay apart
        if (!equal || typeof a !== 'object') expect(nodes).toHaveLength(equal ? 1 : 2);
      }),
      runs(100),
    );
  });

  test('operations of one name are still two operations, in one graph and in the programs that a device keeps', async () => {
    const [once, twice] = [constantOp('scale', 1), constantOp('scale', 2)];
    const apply = (op: Op<{ readonly value: unknown }>) => recordOn(device, op, [], { value: 5 })[0]!;
    expect(build([apply(once), apply(twice)]).graph.nodes).toHaveLength(2);
    expect(build([apply(once)]).key).not.toBe(build([apply(twice)]).key);
    expect([await apply(once).item(), await apply(twice).item(), await apply(once).item()]).toEqual([5, 10, 5]);
  });
});

describe('only what is needed is kept', () => {
  test('unused results and inputs are not in the graph', () => {
    const [x, y] = [device.tensor([1, 2]), device.tensor([3, 4])];
    const used = x.mul(2);
    used.add(y).exp();
    expect(operations([used])).toEqual(['full', 'mul']);
    expect(build([used]).leaves).toEqual([x]);
    for (const tensor of [x, y]) tensor.dispose();
  });

  test('values that are on the device are leaves', async () => {
    const x = device.tensor([1, 2]);
    const middle = x.mul(2);
    await middle.realize();
    const end = middle.add(1);
    expect(operations([end])).toEqual(['full', 'add']);
    expect(build([end]).leaves).toEqual([middle]);
    expect(build([end], 'constants').graph.constants).toEqual([middle]);
    expect(build([end], 'constants').graph.inputs).toEqual([]);
    for (const tensor of [x, middle]) tensor.dispose();
  });

  test('an output that is a leaf, and one that is asked for twice', async () => {
    const x = device.tensor([1, 2]);
    const y = x.add(1);
    const { graph } = build([x, y, y]);
    expect(graph.outputs[1]).toBe(graph.outputs[2]);
    expect(graph.outputs[0]).toBe(graph.inputs[0]);
    x.dispose();
  });
});

describe('what an executor does not lower is decomposed', () => {
  const double = defineOp<null>({
    name: 'double',
    shape: ([x]) => [x!],
    decompose: ([x]) => [x!.add(x!)],
  });
  const quadruple = defineOp<null>({
    name: 'quadruple',
    shape: ([x]) => [x!],
    decompose: ([x]) => [recordOne(double, [recordOne(double, [x!], null)], null)],
  });
  /** Its first output needs work, its second is its input. */
  const both = defineOp<null>({
    name: 'both',
    shape: ([x]) => [x!, x!],
    decompose: ([x]) => [recordOne(quadruple, [x!], null), x!],
  });

  test('through any number of layers', async () => {
    const x = device.tensor([1, -2]);
    const y = recordOne(quadruple, [x], null);
    expect(operations([y])).toEqual(['add', 'add']);
    expect([...(await y.data())]).toEqual([4, -8]);
    x.dispose();
  });

  test('with several outputs, some of them inputs', async () => {
    const x = device.tensor([1, -2]);
    const [four, one] = record(both, [x], null);
    expect(operations([one!])).toEqual(['add', 'add']); // a node is decomposed whole; what is dead is for the executor
    expect([...(await concat([four!, one!], 0).data())]).toEqual([4, -8, 1, -2]);
    x.dispose();
  });

  test('and merged with what is equal after it', () => {
    const x = device.tensor([1, -2]);
    expect(operations([recordOne(double, [x], null), x.add(x), identity(x).add(x)])).toEqual(['add']);
    x.dispose();
  });

  test('gradients go through it, also of higher order', async () => {
    const x = device.tensor([3, 5]);
    const y = recordOne(quadruple, [x], null);
    const [first] = gradients(y.mul(y).sum(), [x]);
    const [second] = gradients(first!.sum(), [x]);
    expect([...(await first!.data())]).toEqual([96, 160]);
    expect([...(await second!.data())]).toEqual([32, 32]);
    x.dispose();
  });

  test('an executor with a lowering of its own runs that', async () => {
    const own = defineOp<null>({ ...double, lower: { reference: { elementwise: () => (x) => x! * 2 } } });
    const x = device.tensor([1, -2]);
    expect(operations([recordOne(own, [x], null)])).toEqual(['double']);
    x.dispose();
  });

  test('an operation with neither is refused by name', () => {
    const opaque = defineOp<null>({ name: 'opaque', shape: ([x]) => [x!] });
    const x = device.tensor([1]);
    expect(() => build([recordOne(opaque, [x], null)])).toThrow(
      /opaque: the reference executor has no lowering of it and it has no decomposition/,
    );
    x.dispose();
  });
});

describe('deep graphs', () => {
  const depth = 20_000;

  test('of 20,000 operations are built, run and differentiated', async () => {
    const x = device.tensor([1]);
    let y: Tensor = x;
    for (let i = 0; i < depth; i++) y = i % 2 ? y.add(1) : y.neg();
    const { graph } = build([y]);
    expect(graph.nodes).toHaveLength(depth + 1); // and the one constant
    const places = new Map(graph.nodes.map((node, i) => [node, i]));
    const early = graph.nodes.filter((node, i) => node.inputs.some((input) => (places.get(input.node) ?? -1) >= i));
    expect(early).toEqual([]); // each after its inputs
    expect(await y.reshape([]).item()).toBe(1);
    const [g] = gradients(y.sum(), [x]);
    expect([...(await g!.data())]).toEqual([1]);
    x.dispose();
  });

  test('also where every one of them is decomposed', async () => {
    const x = device.tensor([7]);
    let y: Tensor = x;
    for (let i = 0; i < depth; i++) y = identity(y);
    expect(operations([y])).toEqual([]);
    expect([...(await y.data())]).toEqual([7]);
    x.dispose();
  });

  test('a value that is used twice at every layer is computed once', async () => {
    const x = device.tensor([1]);
    let y: Tensor = x;
    for (let i = 0; i < 60; i++) y = y.mul(0.5).add(y.mul(0.5)); // 2^60 paths
    const [g] = gradients(y.sum(), [x]);
    expect(operations([y])).toHaveLength(121);
    expect(await concat([y, g!], 0).data()).toEqual(Float32Array.of(1, 1));
    x.dispose();
  });
});

describe('a build is refused', () => {
  test('for what was disposed of', () => {
    const x = device.tensor([1]);
    const y = x.add(1);
    x.dispose();
    expect(() => build([y])).toThrow(/disposed of/);
  });

  test('for an argument of a compiled function outside of its run', () => {
    const placeholder = recordOn(device, inputOp, [], { name: 'x', shape: [2], dtype: 'f32' })[0]!;
    expect(() => build([placeholder.add(1)])).toThrow(/argument of a compiled function was used outside of its run/);
  });
});

test('graphs that compute the same from other tensors have one key, others have their own', () => {
  const [x, y, z] = [device.tensor([1, 2]), device.tensor([3, 4]), device.tensor([5, 6, 7])];
  const v = device.variable([1, 2]);
  const key = (...outputs: Tensor[]) => build(outputs).key;
  expect(key(x.add(1))).toBe(key(y.add(1)));
  const others = [x.add(1), x.add(2), x.sub(1), z.add(1), v.add(1), x.add(x), x.add(y)].map((t) => key(t));
  expect(new Set(others).size).toBe(others.length);
  expect(key(x.add(1), x.sub(1))).not.toBe(key(x.sub(1), x.add(1)));
  for (const tensor of [x, y, z, v]) tensor.dispose();
});
