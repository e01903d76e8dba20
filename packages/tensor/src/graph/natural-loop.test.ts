import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import { gradients } from '../autograd/gradients.ts';
import { createDevice } from '../create-device.ts';
import { ReferenceExecutor } from '../executors/reference/executor.ts';
import type { Graph } from './graph.ts';
import type { Tensor } from './tensor.ts';

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

test.each(['update first', 'read first'])(
  'weights made of weights with a read in each step: no program grows, none is compiled after the first steps (%s)',
  async (order) => {
    const executor = new ReferenceExecutor({});
    const compiled: number[] = [];
    const compile = executor.compile.bind(executor);
    executor.compile = (graph: Graph, target) => {
      compiled.push(graph.nodes.length);
      return compile(graph, target);
    };
    const device = createDevice(executor);
    const x = device.ones([4, 3]);
    let [w1, w2]: [Tensor, Tensor] = [
      device.tensor(new Float32Array(24).fill(0.1), { shape: [3, 8] }),
      device.ones([8, 1]),
    ];
    const live: number[] = [];
    let early = 0;
    for (let step = 0; step < 200; step++) {
      const loss = x.matmul(w1).relu().matmul(w2).sub(1).square().mean();
      if (order === 'read first') await loss.item();
      const [g1, g2] = gradients(loss, [w1, w2]);
      [w1, w2] = [w1.sub(g1.mul(1e-3)), w2.sub(g2.mul(1e-3))];
      if (order !== 'read first') await loss.item();
      if (step === 9) early = compiled.length;
      live.push(device.memory().live);
    }
    expect(compiled.length).toBe(early);
    expect(Math.max(...compiled)).toBeLessThan(200);
    // values of steps long ago are those of handles that nobody has
    for (let i = 0; i < 20 && device.memory().live > 1.2 * live[99]!; i++) {
      collect();
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(device.memory().live).toBeLessThanOrEqual(1.2 * live[99]!);
    await device.dispose();
  },
);
