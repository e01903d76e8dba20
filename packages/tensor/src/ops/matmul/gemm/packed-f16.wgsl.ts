import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import { type MatmulSpec, productFlops } from '../spec.ts';

/** Two neighbouring values an invocation, wherever rows end: for results whose values share words and whose rows are odd. */
export function matmulPackedF16(spec: MatmulSpec): KernelCall {
  const { m, k, n, a, b } = spec;
  const count = sizeOf([...spec.batch, m, n]);
  const parameters: Record<string, Dim> = { m, k, n, count };
  const [ofA, ofB] = [matrixIndex(spec.batch, a.batch, parameters), matrixIndex(spec.batch, b.batch, parameters)];
  return {
    label: 'matmul.packed',
    buffers: [
      { name: 'a', ...a.source },
      { name: 'b', ...b.source },
      { name: 'y', output: 0, epilogue: true },
    ],
    parameters,
    flops: productFlops(spec),
    threads: 64,
    write: (names) => {
      const { at, set2, size, own } = names;
      const aAt = a.depthIsInner ? `row * ${size.k} + p` : `p * ${size.m} + row`;
      const bAt = b.depthIsInner ? `column * ${size.k} + p` : `p * ${size.n} + column`;
      const functions = `fn ${own.product}(i: u32) -> f32 {
  let matrix = i / (${size.m} * ${size.n});
  let row = i / ${size.n} % ${size.m};
  let column = i % ${size.n};
  let a0 = ${ofA('matrix', names)} * ${size.m} * ${size.k};
  let b0 = ${ofB('matrix', names)} * ${size.k} * ${size.n};
  var sum = 0.0;
  for (var p = 0u; p < ${size.k}; p++) { sum += ${at.a}(a0 + ${aAt}) * ${at.b}(b0 + ${bAt}); }
  return sum;
}`;
      const main = `  let pair = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  let i = 2u * pair;
  if (i >= ${size.count}) { return; }
  ${set2.y}(pair, vec2<f32>(${own.product}(i), ${own.product}(min(i + 1u, ${size.count} - 1u))));`;
      return { functions, main };
    },
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(count) / 128)),
  };
}
