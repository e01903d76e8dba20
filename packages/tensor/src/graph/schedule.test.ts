import { describe, expect, test } from 'vitest';
import { grad } from '../autograd/grad.ts';
import { openReference } from '../reference.ts';
import { buildGraph } from './build.ts';
import type { Node } from './op.ts';
import type { Tensor } from './tensor.ts';

/** Most values that are alive at once, of those that a graph computes. */
function peakOf(nodes: readonly Node[], outputs: readonly Tensor[]): number {
  const lastUse = new Map<Tensor, number>();
  nodes.forEach((node, at) => {
    for (const tensor of [...node.inputs, ...node.outputs]) lastUse.set(tensor, at);
  });
  for (const output of outputs) lastUse.set(output, nodes.length);
  const size = ({ shape }: Tensor) => (shape as number[]).reduce((a, b) => a * b, 1);
  const alive = new Set<Tensor>();
  let peak = 0;
  nodes.forEach((node, at) => {
    for (const output of node.outputs) alive.add(output);
    peak = Math.max(
      peak,
      [...alive].reduce((sum, tensor) => sum + size(tensor), 0),
    );
    for (const tensor of alive) if (lastUse.get(tensor) === at) alive.delete(tensor);
  });
  return peak;
}

describe('the order of a graph', () => {
  test('computes gradients with respect to weights when those of their layer are there', async () => {
    const device = await openReference();
    const [rows, width, depth] = [200, 4, 10];
    const x = device.tensor(new Float64Array(rows * width), { shape: [rows, width] });
    const weights = Array.from({ length: depth }, () =>
      device.tensor(new Float64Array(width * width), { shape: [width, width] }),
    );
    const forward = (list: readonly Tensor[]) => list.reduce((h, w) => h.matmul(w).tanh(), x).sum();
    const [byWeights] = grad(forward)(weights);
    const { nodes, outputs } = buildGraph(
      device.executor,
      { outputs: byWeights!, updates: [], inputs: [] },
      'inputs',
    ).graph;
    const place = new Map(nodes.map((node, i) => [node, i]));
    for (const node of nodes)
      for (const { node: from } of node.inputs)
        if (place.has(from)) expect(place.get(from)!).toBeLessThan(place.get(node)!);
    // activations of all layers, and of the backward pass no more than a handful of its layer's
    expect(peakOf(nodes, outputs)).toBeLessThan(rows * width * (depth + 6));
    await device.dispose();
  });
});
