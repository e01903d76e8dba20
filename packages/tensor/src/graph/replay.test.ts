import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { softplus } from '../ops/elementwise/activation.ts';
import { openReference } from '../reference.ts';
import type { Device } from './device.ts';
import { record } from './record.ts';
import { replay, rewriteGraph } from './replay.ts';
import type { Tensor } from './tensor.ts';

let device: Device;
beforeAll(async () => {
  device = await openReference();
});
afterAll(() => device.dispose());

const vector = (...values: number[]): Tensor => device.tensor(values);

describe('a graph that is recorded once more', () => {
  test('has other tensors in it; what depends on none of them is the same tensor', async () => {
    const [x, y, other] = [vector(1, 2), vector(3, 4), vector(10, 20)];
    const apart = y.mul(2);
    const [sum, same, itself] = replay([x.add(apart), apart, x], new Map([[x, other]]));
    expect(await sum!.toArray()).toEqual([16, 28]);
    expect(same).toBe(apart);
    expect(itself).toBe(other);
  });

  test('is not limited by the stack, and computes what is shared once', async () => {
    const x = vector(0);
    let y = x;
    for (let i = 0; i < 20_000; i++) y = y.add(y);
    const [found] = replay([y], new Map([[x, vector(0)]]));
    let [depth, at] = [0, found!];
    for (; at.node.inputs.length > 0 && at.node.inputs[0] === at.node.inputs[1]; depth++) at = at.node.inputs[0]!;
    expect(depth).toBe(20_000);
  });

  test('goes through what is put in the place of a tensor, where a rule says so', async () => {
    const [x, other] = [vector(1, 2), vector(0, 0)];
    const y = softplus(x);
    const asked: string[] = [];
    const [found] = rewriteGraph([y.add(1)], {
      replace(tensor) {
        asked.push(tensor === x ? 'x' : tensor.node.op.name);
        if (tensor === x) return { tensor: other };
        return tensor === y ? { tensor: x.mul(3), isRewritten: true } : undefined;
      },
    });
    expect(await found!.toArray()).toEqual([1, 1]);
    // each once, a result before what it is computed from, inputs in their order
    expect(asked.slice(0, 4)).toEqual(['add', y.node.op.name, 'mul', 'x']);
    expect(asked.filter((name) => name === 'x')).toHaveLength(1);
  });

  test('is built by a rule of its own', async () => {
    const x = vector(1, 2);
    const [found] = rewriteGraph([x.add(1).mul(2)], {
      replace: (tensor) => (tensor === x ? { tensor: vector(5, 6) } : undefined),
      rebuild: ({ op, attributes }, inputs) =>
        op.name === 'add' ? [inputs[0]!.neg()] : record(op, inputs, attributes),
    });
    expect(await found!.toArray()).toEqual([-10, -12]);
  });

  test.each<[string, () => unknown, RegExp]>([
    ['no list', () => replay(5 as never, new Map()), /rewriteGraph: outputs must be a list.*, got the number 5/],
    [
      'no tensor',
      () => replay([5 as never], new Map()),
      /rewriteGraph: outputs\[0\] must be a tensor, got the number 5/,
    ],
    ['no map', () => replay([], {} as never), /replay: substitutes must be a Map/],
    ['no rule', () => rewriteGraph([], {} as never), /rewriteGraph: rules\.replace must be a function/],
  ])('is refused: %s', (_, call, message) => {
    expect(call).toThrow(message);
  });
});
