import { addDims, type Dim, divideDims } from '../../dim.ts';
import { isFloat } from '../../dtype.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { KernelBuffer, KernelNames, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { sizeOf } from '../../shape.ts';
import { sortCalls } from './sort.wgsl.ts';

/**
 * Organised by output, since WebGPU has no float atomics: the indices are sorted, each row of the result finds where its own
 * begin, and each value of the result adds up the updates that they name. Equal indices stay in their order, so the result
 * is the same in every run.
 */
export const scatterAddWebGpu: WebGpuLowering<{ readonly rows: Dim }> = {
  kernels({ inputs: [indices, updates], outputs: [out], attributes: { rows }, bound }) {
    const type = isFloat(updates!.dtype) ? 'f32' : updates!.dtype;
    const inner = updates!.shape.slice(1);
    const width = sizeOf(inner);
    const inFours = typeof width === 'number' && width % 4 === 0;
    const lanes = inFours ? 4 : 2;
    const { calls, keys, places } = sortCalls({ type: indices!, axis: 0, largest: false, bound });
    const starts = (access: 'read' | 'write'): KernelBuffer => ({
      name: 'starts',
      scratch: 'starts',
      type: { shape: [addDims(rows, 1)], dtype: 'u32' },
      access,
    });
    const count = sizeOf(out!.shape);
    const columns = inFours ? divideDims(width, 4)! : width;
    const value = inFours ? `vec4<${type}>` : type;
    const update = ({ at, at4, size }: KernelNames, t: string) =>
      `${inFours ? at4.updates : at.updates}(${at.p}(${t}) * ${size.columns} + column)`;
    return [
      ...calls,
      {
        label: 'scatterAdd.starts',
        buffers: [keys('read'), starts('write')],
        parameters: { rows, taken: indices!.shape[0]! },
        threads: 64,
        write: ({ at, set, size }) => ({
          main: `  let row = ((w.z * n.y + w.y) * n.x + w.x) * 64u + l;
  if (row > ${size.rows}) { return; }
  var below = 0u;
  var above = ${size.taken};
  while (below < above) {
    let middle = (below + above) / 2u;
    let index = bitcast<i32>(${at.k}(middle) ^ 0x80000000u);
    if (min(u32(max(index, 0)), ${size.rows} - 1u) < row) { below = middle + 1u; } else { above = middle; }
  }
  ${set.starts}(row, below);`,
        }),
        workgroups: (size) => spreadWorkgroups(Math.ceil((size(rows) + 1) / 64)),
      },
      {
        label: 'scatterAdd',
        buffers: [
          { name: 'updates', input: 1, vector: inFours ? 4 : 1 },
          places('read'),
          starts('read'),
          { name: 'y', output: 0, vector: inFours ? 4 : 1, epilogue: true },
        ],
        parameters: { count, columns },
        threads: 256,
        write: (names) => {
          const { at, set2, set4, size, own } = names;
          return {
            functions: `fn ${own.total}(i: u32) -> ${value} {
  let row = i / ${size.columns};
  let column = i % ${size.columns};
  let end = ${at.starts}(row + 1u);
  var t = ${at.starts}(row);
  var sum = ${value}(${type}(0));
  for (; t + 4u <= end; t += 4u) {
    let a = ${update(names, 't')};
    let b = ${update(names, 't + 1u')};
    let c = ${update(names, 't + 2u')};
    let d = ${update(names, 't + 3u')};
    sum = (((sum + a) + b) + c) + d;
  }
  for (; t < end; t++) { sum += ${update(names, 't')}; }
  return sum;
}`,
            main: `  let k = ((w.z * n.y + w.y) * n.x + w.x) * 256u + l;
  if (${lanes}u * k >= ${size.count}) { return; }
  ${
    inFours
      ? `${set4.y}(k, ${own.total}(k));`
      : `${set2.y}(k, vec2<${type}>(${own.total}(2u * k), ${own.total}(min(2u * k + 1u, ${size.count} - 1u))));`
  }`,
          };
        },
        workgroups: (size) => spreadWorkgroups(Math.ceil(size(count) / (256 * lanes))),
      },
    ];
  },
};
