import type { WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { rowKernel, sumOfFours } from './row-kernels.wgsl.ts';
import { fitsRowTeam } from './row-team.wgsl.ts';
import { inverseRoot, scaledSquares4 } from './square-scale.ts';

/** With a row in registers; rows that are no whole number of fours, or too long, are decomposed. */
export const rmsNormWebGpu: WebGpuLowering<{ readonly epsilon: number }> = {
  supports: ({ inputs: [x] }, capabilities) => fitsRowTeam(x!, capabilities),
  kernels: (context) => [
    rowKernel(context, {
      label: 'rmsNorm',
      buffers: [
        { name: 'x', input: 0, vector: 4 },
        { name: 'weight', input: 1, vector: 4 },
        { name: 'y', output: 0, vector: 4, epilogue: true },
      ],
      rows: { x: '0.0' },
      reductions: ['row_sum'],
      body: ({ fours, reduce, names: { at4, size, prelude } }) =>
        [
          `  let squares = ${reduce(
            'row_sum',
            sumOfFours(fours, (i) => scaledSquares4(`x${i}`, context.attributes.epsilon, size.width!, prelude)),
          )};`,
          `  let inverse = ${inverseRoot(`squares / f32(${size.width})`, context.attributes.epsilon, prelude)};`,
          ...fours.map(({ index: i, at }) => `  let y${i} = x${i} * inverse * ${at4.weight}(${at});`),
        ].join('\n'),
    }),
  ],
};
