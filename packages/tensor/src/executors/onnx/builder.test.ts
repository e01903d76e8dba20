import { describe, expect, test } from 'vitest';
import { addDims, multiplyDims, symbolicDim } from '../../dim.ts';
import { declaredShape, GraphBuilder } from './builder.ts';

const [T, S] = [symbolicDim('T', 8), symbolicDim('S', 8)];

/** Values of the collected nodes for sizes of the symbolic dimensions: enough of ONNX for what sizes are made of. */
function evaluate(builder: GraphBuilder, name: string, symbols: Readonly<Record<string, number>>): number[] {
  const constant = builder.initializers.find((initializer) => initializer.name === name);
  if (constant) return [...(constant.data as BigInt64Array)].map(Number);
  for (const [symbol, input] of builder.sizeInputs) if (input === name) return [symbols[symbol]!];
  const node = builder.nodes.find(({ outputs }) => outputs.includes(name))!;
  const [a, b, ...rest] = node.inputs.map((input) => evaluate(builder, input, symbols));
  if (node.type === 'Concat') return [a!, b!, ...rest].flat();
  return node.type === 'Mul' ? [a![0]! * b![0]!] : [a![0]! + b![0]!];
}

describe('the ONNX graph builder', () => {
  test('names nodes after the operation that they are for', () => {
    const builder = new GraphBuilder();
    builder.enter('softmax3');
    const [value] = builder.opWithOutputs('Split', ['x'], 2, { attributes: { axis: 1 } });
    expect(builder.nodes[0]).toMatchObject({ type: 'Split', inputs: ['x'], domain: '', attributes: { axis: 1 } });
    expect(builder.nodes[0]!.outputs).toHaveLength(2);
    expect(builder.nodes[0]!.name).toBe(`softmax3.Split.${value}`);
  });

  test('shares equal constants and casts', () => {
    const builder = new GraphBuilder();
    const one = builder.constant('f32', [], [1]);
    expect(builder.constant('f32', [], [1])).toBe(one);
    expect(builder.constant('f32', [1], [1])).not.toBe(one);
    expect(builder.constant('i32', [], [1])).not.toBe(one);
    expect(builder.constant('f32', [], [-0])).not.toBe(builder.constant('f32', [], [0]));
    expect(builder.cast(one, 'i64')).toBe(builder.cast(one, 'i64'));
    expect(builder.cast(one, 'i32')).not.toBe(builder.cast(one, 'i64'));
    expect(builder.nodes).toHaveLength(2);
  });

  test('constants hold every dtype', () => {
    const builder = new GraphBuilder();
    const data = (name: string) => builder.initializers.find((initializer) => initializer.name === name)!.data;
    expect(data(builder.constant('f32', [2], [1.5, -2]))).toEqual(Float32Array.of(1.5, -2));
    expect(data(builder.constant('f16', [1], [1.5]))).toEqual(Uint16Array.of(0x3e00));
    expect(data(builder.constant('i32', [1], [-3]))).toEqual(Int32Array.of(-3));
    expect(data(builder.constant('u32', [1], [4e9]))).toEqual(Uint32Array.of(4e9));
    expect(data(builder.constant('bool', [2], [1, 0]))).toEqual(Uint8Array.of(1, 0));
    expect(data(builder.constant('i64', [1], [-1]))).toEqual(BigInt64Array.of(-1n));
  });

  test('sizes that are numbers are one constant', () => {
    const builder = new GraphBuilder();
    const name = builder.sizes([2, 3]);
    expect(builder.sizes([2, 3])).toBe(name);
    expect(evaluate(builder, name, {})).toEqual([2, 3]);
    expect(builder.nodes).toHaveLength(0);
    expect(builder.sizeInputs.size).toBe(0);
  });

  test('sizes that are named are computed from the inputs that give them', () => {
    const builder = new GraphBuilder();
    const polynomial = addDims(multiplyDims(2, multiplyDims(T, S)), addDims(multiplyDims(-1, T), 7));
    const name = builder.sizes([T, 4, polynomial, addDims(S, 1)]);
    for (const symbols of [
      { T: 1, S: 1 },
      { T: 3, S: 5 },
    ])
      expect(evaluate(builder, name, symbols)).toEqual([
        symbols.T,
        4,
        2 * symbols.T * symbols.S - symbols.T + 7,
        symbols.S + 1,
      ]);
    expect([...builder.sizeInputs.keys()].sort()).toEqual(['S', 'T']);
  });

  test('sizes are computed once', () => {
    const builder = new GraphBuilder();
    const name = builder.sizes([addDims(T, 1), 2]);
    const { length } = builder.nodes;
    expect(builder.sizes([addDims(1, T), 2])).toBe(name);
    builder.sizes([addDims(T, 1)]);
    expect(builder.nodes).toHaveLength(length);
    expect(builder.sizes([T])).toBe('size.T');
  });

  test('a reshape of a reshape starts from what was there first', () => {
    const builder = new GraphBuilder();
    const last = builder.reshape(builder.reshape(builder.op('Neg', ['x']), [T, 2, 2]), [T, 4]);
    builder.prune([last]);
    const [neg, reshape] = builder.nodes;
    expect(builder.nodes.map(({ type }) => type)).toEqual(['Neg', 'Reshape']);
    expect(reshape!.inputs[0]).toBe(neg!.outputs[0]);
    expect(evaluate(builder, reshape!.inputs[1]!, {})).toEqual([-1, 4]);
    expect(builder.sizeInputs.size).toBe(0);
  });

  test('a reshape with several named sizes, or none of a value, computes its sizes', () => {
    const builder = new GraphBuilder();
    builder.reshape('x', [T, S, 2]);
    expect(builder.nodes.at(-1)).toMatchObject({ type: 'Reshape', attributes: { allowzero: 1 } });
    expect(evaluate(builder, builder.nodes.at(-1)!.inputs[1]!, { T: 3, S: 5 })).toEqual([3, 5, 2]);
    builder.reshape('x', [0, 3]);
    expect(evaluate(builder, builder.nodes.at(-1)!.inputs[1]!, {})).toEqual([0, 3]);
  });

  test('nodes, constants and sizes that lead nowhere are dropped', () => {
    const builder = new GraphBuilder();
    const used = builder.op('Add', ['x', builder.constant('f32', [], [1])]);
    builder.op('Reshape', [used, builder.sizes([T, 4])]);
    builder.prune([used]);
    expect(builder.nodes.map(({ type }) => type)).toEqual(['Add']);
    expect(builder.initializers).toHaveLength(1);
    expect(builder.sizeInputs.size).toBe(0);
  });

  test('declared shapes name what is known only in a run', () => {
    expect(declaredShape([T, 3, addDims(T, 1)])).toEqual(['T', 3, 'T+1']);
  });
});
