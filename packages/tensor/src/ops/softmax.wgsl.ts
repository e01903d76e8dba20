import type { WebGpuLowering } from '../executors/webgpu/lowering.ts';
import { fitsRowKernel, type RowFour, rowKernel } from './row-kernels.wgsl.ts';

const lowest = '-3.40282346e38';

/** Along the innermost axis with a row in registers; elsewhere the decomposition runs. */
export function softmaxWebGpu(name: 'softmax' | 'logSoftmax'): WebGpuLowering<{ readonly axis: number }> {
  const highest = ({ index }: RowFour) => `max(max(x${index}.x, x${index}.y), max(x${index}.z, x${index}.w))`;
  const exponential = ({ index, valid }: RowFour) => {
    const value = `exp(x${index} - high)`;
    return `  let e${index} = ${valid ? `select(vec4<f32>(), ${value}, ${valid})` : value};`;
  };
  const result = ({ index }: RowFour) =>
    `  let y${index} = ${name === 'softmax' ? `e${index} / total` : `x${index} - high - log(total)`};`;
  return {
    supports: ({ inputs: [x], attributes: { axis } }, capabilities) =>
      axis === x!.shape.length - 1 && fitsRowKernel(x!, capabilities),
    kernels: (context) => [
      rowKernel(context, {
        label: name,
        buffers: [
          { name: 'x', input: 0, vector: 4 },
          { name: 'y', output: 0, vector: 4, epilogue: true },
        ],
        beyond: lowest,
        body: (fours) =>
          [
            `  let high = row_max(${fours.map(highest).reduce((a, b) => `max(${a}, ${b})`)});`,
            ...fours.map(exponential),
            `  let total = row_sum(${fours.map(({ index }) => `dot(e${index}, vec4<f32>(1.0))`).join(' + ')});`,
            ...fours.map(result),
          ].join('\n'),
      }),
    ],
  };
}
