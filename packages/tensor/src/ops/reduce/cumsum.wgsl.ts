import { multiplyDims } from '../../dim.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import type { CumsumAttributes } from './cumsum.ts';

/** Values that a workgroup adds up at once. */
const width = 256;

/** One workgroup a row: pieces of a row are scanned in workgroup memory, one after the other, on top of what came before. */
export const cumsumWebGpu: WebGpuLowering<CumsumAttributes> = {
  kernels({ inputs: [x], attributes: { axis, exclusive, reverse } }) {
    const { shape, dtype } = x!;
    const inner = sizeOf(shape.slice(axis + 1));
    const rows = multiplyDims(sizeOf(shape.slice(0, axis)), inner);
    const type = dtype === 'i32' || dtype === 'u32' ? dtype : 'f32';
    const before = `select(${type}(0), part[max(l, 1u) - 1u], l > 0u)`;
    return [
      {
        label: 'cumsum',
        buffers: [
          { name: 'x', input: 0 },
          { name: 'y', output: 0, epilogue: true },
        ],
        parameters: { rows, inner, count: shape[axis]! },
        body: `
var<workgroup> part: array<${type}, ${width}>;
@compute @workgroup_size(${width})
fn main(@builtin(workgroup_id) w: vec3<u32>, @builtin(num_workgroups) n: vec3<u32>, @builtin(local_invocation_index) l: u32) {
  let row = (w.z * n.y + w.y) * n.x + w.x;
  if (row < params.rows) {
    let start = (row / params.inner) * params.count * params.inner + row % params.inner;
    var carry = ${type}(0);
    for (var base = 0u; base < params.count; base += ${width}u) {
      let j = base + l;
      let place = start + ${reverse ? '(params.count - 1u - min(j, params.count - 1u))' : 'j'} * params.inner;
      var value = ${type}(0);
      if (j < params.count) { value = x_at(place); }
      part[l] = value;
      workgroupBarrier();
      for (var reach = 1u; reach < ${width}u; reach *= 2u) {
        var left = ${type}(0);
        if (l >= reach) { left = part[l - reach]; }
        workgroupBarrier();
        part[l] += left;
        workgroupBarrier();
      }
      let sum = carry + ${exclusive ? before : 'part[l]'};
      if (j < params.count) { y_set(place, sum); }
      carry += part[${width - 1}];
      workgroupBarrier();
    }
  }
}`,
        workgroups: (size) => spreadWorkgroups(size(rows)),
      },
    ];
  },
};
