import type { Dim } from '../dim.ts';
import { isFloat } from '../dtype.ts';
import type { WebGpuLowering } from '../executors/webgpu/lowering.ts';
import { spreadWorkgroups } from '../executors/webgpu/workgroups.ts';
import { sizeOf } from '../shape.ts';

/**
 * Organised by output, since WebGPU has no float atomics: each invocation looks through all indices for those that name its
 * row. The order of additions is that of the indices, so the result is the same in every run.
 */
export const scatterAddWebGpu: WebGpuLowering<{ readonly rows: Dim }> = {
  kernels({ inputs: [indices, updates], outputs: [out] }) {
    const type = isFloat(updates!.dtype) ? 'f32' : updates!.dtype;
    const count = sizeOf(out!.shape);
    return [
      {
        label: 'scatterAdd',
        buffers: [
          { name: 'indices', input: 0 },
          { name: 'updates', input: 1 },
          { name: 'y', output: 0, epilogue: true },
        ],
        parameters: {
          count,
          rows: out!.shape[0]!,
          width: sizeOf(out!.shape.slice(1)),
          taken: indices!.shape[0]!,
        },
        body: `
fn total(i: u32) -> ${type} {
  let row = i / params.width;
  let column = i % params.width;
  var sum = ${type}(0);
  for (var t = 0u; t < params.taken; t++) {
    let named = min(u32(max(indices_at(t), 0)), params.rows - 1u);
    if (named == row) { sum += updates_at(t * params.width + column); }
  }
  return sum;
}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let pair = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  let i = 2u * pair;
  if (i >= params.count) { return; }
  y_set2(pair, vec2<${type}>(total(i), total(min(i + 1u, params.count - 1u))));
}`,
        workgroups: (size) => spreadWorkgroups(Math.ceil(size(count) / 128)),
      },
    ];
  },
};
