import type { Dim } from '../../../dim.ts';
import { spreadWorkgroups } from '../../../executors/webgpu/workgroups.ts';
import type { KernelCall } from '../../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../../shape.ts';
import { matrixIndex } from '../batch.ts';
import type { MatmulOperand, MatmulSpec } from '../spec.ts';

/** Two neighbouring values an invocation, wherever rows end: for results whose values share words and whose rows are odd. */
export function matmulPairs(spec: MatmulSpec): KernelCall {
  const { m, k, n, a, b } = spec;
  const count = sizeOf([...spec.batch, m, n]);
  const parameters: Record<string, Dim> = { m, k, n, count };
  const matrix = (own: MatmulOperand) => matrixIndex('matrix', spec.batch, own.batch, parameters);
  const aAt = a.depthIsInner ? 'row * params.k + p' : 'p * params.m + row';
  const bAt = b.depthIsInner ? 'column * params.k + p' : 'p * params.n + column';
  return {
    label: 'matmul.pairs',
    buffers: [
      { name: 'a', input: 0 },
      { name: 'b', input: 1 },
      { name: 'y', output: 0, epilogue: true },
    ],
    parameters,
    body: `
fn product(i: u32) -> f32 {
  let matrix = i / (params.m * params.n);
  let row = i / params.n % params.m;
  let column = i % params.n;
  let a0 = ${matrix(a)} * params.m * params.k;
  let b0 = ${matrix(b)} * params.k * params.n;
  var sum = 0.0;
  for (var p = 0u; p < params.k; p++) { sum += a_at(a0 + ${aAt}) * b_at(b0 + ${bAt}); }
  return sum;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let pair = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  let i = 2u * pair;
  if (i >= params.count) { return; }
  y_set2(pair, vec2<f32>(product(i), product(min(i + 1u, params.count - 1u))));
}`,
    workgroups: (size) => spreadWorkgroups(Math.ceil(size(count) / 128)),
  };
}
