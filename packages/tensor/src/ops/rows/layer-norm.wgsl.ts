import type { KernelBuffer, KernelNames, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { type RowText, rowKernel, sumOfFours } from './row-kernels.wgsl.ts';
import { fitsRowTeam, type RowFour } from './row-team.wgsl.ts';
import { inverseRoot, scaledSquares4 } from './square-scale.ts';

/** With a row in registers; rows that are no whole number of fours, or too long, are decomposed. */
export const layerNormWebGpu: WebGpuLowering<{ readonly epsilon: number }> = {
  supports: ({ inputs: [x] }, capabilities) => fitsRowTeam(x!, capabilities),
  kernels: (context) => {
    const affine = (['weight', 'bias'] as const).slice(0, context.inputs.length - 1);
    const scaled = ({ index, at }: RowFour, { at4 }: KernelNames) =>
      [`c${index} * inverse`, ...affine.map((name, i) => `${'*+'[i]} ${at4[name]}(${at})`)].join(' ');
    return [
      rowKernel(context, {
        label: 'layerNorm',
        buffers: [
          { name: 'x', input: 0, vector: 4 },
          ...affine.map((name, i): KernelBuffer => ({ name, input: i + 1, vector: 4 })),
          { name: 'y', output: 0, vector: 4, epilogue: true },
        ],
        rows: { x: '0.0' },
        reductions: ['row_sum'],
        body: (row) =>
          [
            centredRow(row, context.attributes.epsilon),
            ...row.fours.map((four) => `  let y${four.index} = ${scaled(four, row.names)};`),
          ].join('\n'),
      }),
    ];
  },
};

/** Of the row `x`: `c0`, `c1`, ... are its fours less the mean, 0 beyond its end, and `inverse` is 1 / sqrt(variance + epsilon). */
export function centredRow({ fours, reduce, names: { size, prelude } }: RowText, epsilon: number): string {
  const centred = ({ index: i, valid }: RowFour) =>
    `  let c${i} = ${valid ? `select(vec4<f32>(), x${i} - mean, ${valid})` : `x${i} - mean`};`;
  const sum = sumOfFours(fours, (i) => `dot(x${i}, vec4<f32>(1.0))`);
  const squares = sumOfFours(fours, (i) => scaledSquares4(`c${i}`, epsilon, size.width!, prelude));
  return [
    `  let mean = ${reduce('row_sum', sum)} / f32(${size.width});`,
    ...fours.map(centred),
    `  let squares = ${reduce('row_sum', squares)};`,
    `  let inverse = ${inverseRoot(`squares / f32(${size.width})`, epsilon, prelude)};`,
  ].join('\n');
}
