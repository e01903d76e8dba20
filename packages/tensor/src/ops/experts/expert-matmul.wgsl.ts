import { multiplyDims } from '../../dim.ts';
import { isBlockFormat } from '../../dtype.ts';
import { spreadWorkgroups } from '../../executors/webgpu/workgroups.ts';
import type { WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { teamSum } from '../matmul/gemv/rows.wgsl.ts';
import { type ExpertMatmulAttributes, expertSizes } from './attributes.ts';
import { groupedExperts, groupedTileRows } from './grouped.wgsl.ts';

/** Values of the result that a workgroup computes. */
const columns = 4;

/**
 * Where experts have several rows each, these are sorted by expert and multiplied by tiles (`grouped.wgsl.ts`). Otherwise a workgroup
 * for four values of one row of the result: it goes along four rows of the matrix that the row names, which is read on the
 * device. What nobody names is not read.
 */
export const expertMatmulWebGpu: WebGpuLowering<ExpertMatmulAttributes> = {
  supports({ inputs, attributes }) {
    const [, w] = inputs;
    // blocks lie along the last axis
    return !(attributes.inFirst && isBlockFormat(w!.dtype));
  },
  kernels({ inputs, attributes, capabilities, bound }) {
    const sizes = expertSizes(inputs, attributes);
    const { T, S, N, K, M, shared } = sizes;
    const tileRows = groupedTileRows(bound(multiplyDims(T, S)), N);
    if (tileRows !== undefined) return groupedExperts(sizes, attributes.inFirst, tileRows);
    const isFours = K % 4 === 0 && !attributes.inFirst;
    const steps = isFours ? K / 4 : K;
    const lanes = steps >= 128 && capabilities.maxInvocations >= 64 ? 64 : 32;
    const team = teamSum(lanes, columns, capabilities);
    const [rows, blocks] = [multiplyDims(T, S), Math.ceil(M / columns)];
    const items = multiplyDims(rows, blocks);
    const each = (line: (c: number) => string) => Array.from({ length: columns }, (_, c) => line(c)).join('\n');
    const vector = isFours ? 4 : 1;
    return [
      {
        label: 'expertMatmul',
        buffers: [
          { name: 'x', input: 0, vector },
          { name: 'b', input: 1, vector },
          { name: 'experts', input: 2 },
          { name: 'y', output: 0, epilogue: true },
        ],
        parameters: { items },
        ...(capabilities.subgroupId ? { requires: ['subgroups'] } : {}),
        threads: lanes,
        builtins: team.builtins,
        workgroup: team.workgroup,
        flops: multiplyDims(rows, 2 * M * K),
        write: (names) => {
          const { at, at4, set, size, own } = names;
          const column = (c: number) => `min(column + ${c}u, ${M - 1}u)`;
          const weight = (c: number) => {
            if (attributes.inFirst) return `${at.b}((expert * ${K}u + p) * ${M}u + ${column(c)})`;
            return isFours
              ? `${at4.b}((expert * ${M}u + ${column(c)}) * ${steps}u + p)`
              : `${at.b}((expert * ${M}u + ${column(c)}) * ${K}u + p)`;
          };
          return {
            functions: team.functions(names),
            main: `  let group = (w.z * n.y + w.y) * n.x + w.x;
  if (group >= ${size.items}) { return; }
  let row = group / ${blocks}u;
  let column = group % ${blocks}u * ${columns}u;
  let expert = u32(clamp(${at.experts}(row), 0, ${N - 1}));
  let first = ${shared ? `row / ${S}u` : 'row'} * ${steps}u;
  var sums: array<f32, ${columns}>;
  for (var p = l; p < ${steps}u; p += ${lanes}u) {
    let value = ${isFours ? at4.x : at.x}(first + p);
${each((c) => `    sums[${c}] += ${isFours ? `dot(value, ${weight(c)})` : `value * ${weight(c)}`};`)}
  }
${team.combine(names)}
  if (l < ${columns}u && column + l < ${M}u) { ${set.y}(row * ${M}u + column + l, ${own.total}(l)); }`,
          };
        },
        workgroups: (size) => spreadWorkgroups(size(items)),
      },
    ];
  },
};
