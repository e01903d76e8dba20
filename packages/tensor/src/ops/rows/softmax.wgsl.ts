import type { Prelude, WebGpuLowering } from '../../graph/webgpu-lowering.ts';
import { rowKernel, sumOfFours } from './row-kernels.wgsl.ts';
import { fitsRowTeam, type RowFour } from './row-team.wgsl.ts';

type SoftmaxLowering = WebGpuLowering<{ readonly axis: number }>;

const lowest = '-3.40282346e38';

const supports: NonNullable<Extract<SoftmaxLowering, { kernels: unknown }>['supports']> = (
  { inputs: [x], attributes: { axis } },
  capabilities,
) => axis === x!.shape.length - 1 && fitsRowTeam(x!, capabilities);

/** Along the innermost axis with a row in registers; elsewhere the decomposition runs. */
export function softmaxWebGpu(name: 'softmax' | 'logSoftmax'): SoftmaxLowering {
  const highest = ({ index }: RowFour) => `max(max(x${index}.x, x${index}.y), max(x${index}.z, x${index}.w))`;
  const exponential = ({ index, valid }: RowFour, { safe_exp4 }: Prelude) => {
    const value = `${safe_exp4}(x${index} - high)`;
    return `  let e${index} = ${valid ? `select(vec4<f32>(), ${value}, ${valid})` : value};`;
  };
  const result = ({ index }: RowFour, prelude: Prelude) =>
    `  let y${index} = ${name === 'softmax' ? `e${index} / total` : `x${index} - high - ${prelude.safe_log}(total)`};`;
  return {
    supports,
    kernels: (context) => [
      rowKernel(context, {
        label: name,
        buffers: [
          { name: 'x', input: 0, vector: 4 },
          { name: 'y', output: 0, vector: 4, epilogue: true },
        ],
        rows: { x: lowest },
        reductions: ['row_max', 'row_sum'],
        body: ({ fours, reduce, names: { prelude } }) =>
          [
            `  let high = ${reduce(
              'row_max',
              fours.map(highest).reduce((a, b) => `max(${a}, ${b})`),
            )};`,
            ...fours.map((four) => exponential(four, prelude)),
            `  let total = ${reduce(
              'row_sum',
              sumOfFours(fours, (i) => `dot(e${i}, vec4<f32>(1.0))`),
            )};`,
            ...fours.map((four) => result(four, prelude)),
          ].join('\n'),
      }),
    ],
  };
}

/** From the result `r` and the gradient `g` by it, with both rows in registers. */
export function softmaxGradientWebGpu(name: 'softmax' | 'logSoftmax'): SoftmaxLowering {
  const term = (i: number) => (name === 'softmax' ? `dot(r${i}, g${i})` : `dot(g${i}, vec4<f32>(1.0))`);
  const result = (i: number) => (name === 'softmax' ? `r${i} * (g${i} - total)` : `g${i} - exp(r${i}) * total`);
  return {
    supports,
    kernels: (context) => [
      rowKernel(context, {
        label: `${name}Gradient`,
        buffers: [
          { name: 'r', input: 0, vector: 4 },
          { name: 'g', input: 1, vector: 4 },
          { name: 'y', output: 0, vector: 4, epilogue: true },
        ],
        rows: { r: '0.0', g: '0.0' },
        reductions: ['row_sum'],
        body: ({ fours, reduce }) =>
          [
            `  let total = ${reduce('row_sum', sumOfFours(fours, term))};`,
            ...fours.map(({ index: i }) => `  let y${i} = ${result(i)};`),
          ].join('\n'),
      }),
    ],
  };
}
