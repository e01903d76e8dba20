import { type Dim, multiplyDims } from '../dim.ts';
import type { WebGpuLowering } from '../executors/webgpu/lowering.ts';
import { spreadWorkgroups } from '../executors/webgpu/workgroups.ts';
import { sizeOf } from '../shape.ts';
import { type MatmulAttributes, matmulSizes } from './matmul.ts';
import { matrixIndex } from './matmul-batch.ts';

/** One pair of values an invocation. */
export const matmulWebGpu: WebGpuLowering<MatmulAttributes> = {
  kernels({ inputs: [a, b], outputs: [out], attributes }) {
    const { m, k, n } = matmulSizes(a!.shape, b!.shape, attributes);
    const batch = out!.shape.slice(0, -2);
    const parameters: Record<string, Dim> = { m, k, n, count: sizeOf(out!.shape) };
    const which = (operand: typeof a) => matrixIndex('matrix', batch, operand!.shape.slice(0, -2), parameters);
    const at = (transposed: boolean, row: string, column: string, rows: string, columns: string) =>
      transposed ? `${column} * params.${rows} + ${row}` : `${row} * params.${columns} + ${column}`;
    return [
      {
        label: 'matmul',
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
  let a0 = ${which(a)} * params.m * params.k;
  let b0 = ${which(b)} * params.k * params.n;
  var sum = 0.0;
  for (var p = 0u; p < params.k; p++) {
    sum += a_at(a0 + ${at(attributes.transposeA, 'row', 'p', 'm', 'k')}) * b_at(b0 + ${at(attributes.transposeB, 'p', 'column', 'k', 'n')});
  }
  return sum;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let pair = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  let i = 2u * pair;
  if (i >= params.count) { return; }
  y_set2(pair, vec2<f32>(product(i), product(min(i + 1u, params.count - 1u))));
}`,
        workgroups: (size) => spreadWorkgroups(Math.ceil(size(multiplyDims(sizeOf(batch), multiplyDims(m, n))) / 128)),
      },
    ];
  },
};
