import { floatLiteral } from '../../executors/webgpu/codegen/float-literal.ts';
import type { KernelBuffer, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { rowKernel, sumOfFours } from './row-kernels.wgsl.ts';
import { fitsRowTeam, type RowFour } from './row-team.wgsl.ts';

/** With a row in registers; rows that are no whole number of fours, or too long, are decomposed. */
export const layerNormWebGpu: WebGpuLowering<{ readonly epsilon: number }> = {
  supports: ({ inputs: [x] }, capabilities) => fitsRowTeam(x!, capabilities),
  kernels: (context) => {
    const affine = (['weight', 'bias'] as const).slice(0, context.inputs.length - 1);
    const scaled = ({ index, at }: RowFour) =>
      [`c${index} * inverse`, ...affine.map((name, i) => `${'*+'[i]} ${name}_at4(${at})`)].join(' ');
    return [
      rowKernel(context, {
        label: 'layerNorm',
        buffers: [
          { name: 'x', input: 0, vector: 4 },
          ...affine.map((name, i): KernelBuffer => ({ name, input: i + 1, vector: 4 })),
          { name: 'y', output: 0, vector: 4, epilogue: true },
        ],
        rows: { x: '0.0' },
        body: (fours) =>
          [
            centredRow(fours, context.attributes.epsilon),
            ...fours.map((four) => `  let y${four.index} = ${scaled(four)};`),
          ].join('\n'),
      }),
    ];
  },
};

/** Of the row `x`: `c0`, `c1`, ... are its fours less the mean, 0 beyond its end, and `inverse` is 1 / sqrt(variance + epsilon). */
export function centredRow(fours: readonly RowFour[], epsilon: number): string {
  const centred = ({ index: i, valid }: RowFour) =>
    `  let c${i} = ${valid ? `select(vec4<f32>(), x${i} - mean, ${valid})` : `x${i} - mean`};`;
  return [
    `  let mean = row_sum(${sumOfFours(fours, (i) => `dot(x${i}, vec4<f32>(1.0))`)}) / f32(params.width);`,
    ...fours.map(centred),
    `  let squares = row_sum(${sumOfFours(fours, (i) => `dot(c${i}, c${i})`)});`,
    `  let inverse = inverseSqrt(squares / f32(params.width) + ${floatLiteral(epsilon)});`,
  ].join('\n');
}
