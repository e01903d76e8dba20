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
    const before = (part: string | undefined) => `select(${type}(0), ${part}[max(l, 1u) - 1u], l > 0u)`;
    return [
      {
        label: 'cumsum',
        buffers: [
          { name: 'x', input: 0 },
          { name: 'y', output: 0, epilogue: true },
        ],
        parameters: { rows, inner, count: shape[axis]! },
        threads: width,
        workgroup: { part: { type, length: width } },
        write: ({ at, set, size, shared: { part } }) => ({
          main: `  let row = (w.z * n.y + w.y) * n.x + w.x;
  if (row < ${size.rows}) {
    let start = (row / ${size.inner}) * ${size.count} * ${size.inner} + row % ${size.inner};
    var carry = ${type}(0);
    for (var base = 0u; base < ${size.count}; base += ${width}u) {
      let j = base + l;
      let place = start + ${reverse ? `(${size.count} - 1u - min(j, ${size.count} - 1u))` : 'j'} * ${size.inner};
      var value = ${type}(0);
      if (j < ${size.count}) { value = ${at.x}(place); }
      ${part}[l] = value;
      workgroupBarrier();
      for (var reach = 1u; reach < ${width}u; reach *= 2u) {
        var left = ${type}(0);
        if (l >= reach) { left = ${part}[l - reach]; }
        workgroupBarrier();
        ${part}[l] += left;
        workgroupBarrier();
      }
      let sum = carry + ${exclusive ? before(part) : `${part}[l]`};
      if (j < ${size.count}) { ${set.y}(place, sum); }
      carry += ${part}[${width - 1}];
      workgroupBarrier();
    }
  }`,
        }),
        workgroups: (size) => spreadWorkgroups(size(rows)),
      },
    ];
  },
};
