import type { Device } from '@heddle/tensor';
import { createDropout, createLinear } from '@heddle/tensor/nn';
import { type CallsOf, type Entries, part } from './valid-call.ts';

const each = (names: string, entry: Entries[string]): Entries =>
  Object.fromEntries(names.split(' ').map((name) => [name, entry]));

/** What is called of `@heddle/tensor/nn`. */
export function nnCalls(device: Device): CallsOf {
  const linear = part(createLinear(device, { inputs: 2, outputs: 2, seed: 1 }));
  return {
    specifier: '@heddle/tensor/nn',
    functions: {
      createConv1d: [
        device,
        {
          inputs: 2,
          outputs: 4,
          kernel: 3,
          stride: 1,
          padding: 1,
          dilation: 1,
          groups: 2,
          bias: true,
          seed: 1,
          dtype: 'f16',
        },
      ],
      createConv2d: [
        device,
        {
          inputs: 2,
          outputs: 4,
          kernel: [3, 3],
          stride: [1, 1],
          padding: 1,
          dilation: 1,
          groups: 2,
          bias: true,
          seed: 1,
          dtype: 'f16',
        },
      ],
      createDropout: [0.5],
      createEmbedding: [device, { count: 3, width: 2, seed: 1, dtype: 'f16' }],
      createLayerNorm: [device, { width: 2, epsilon: 1e-5, bias: true, dtype: 'f16' }],
      createRmsNorm: [device, { width: 2, epsilon: 1e-5, dtype: 'f16' }],
      createLinear: [device, { inputs: 2, outputs: 2, bias: true, seed: 1, dtype: 'f16' }],
      createSequential: { args: [linear, (x: unknown) => x], taken: ['0:function'] }, // one that takes a tensor
      ...each('kaimingNormal kaimingUniform', [
        [2, 3],
        { negativeSlope: 0.1, nonlinearity: 'leakyRelu', mode: 'fanIn', seed: 1 },
      ]),
      ...each('normalValues truncatedNormalValues', [[2, 3], { seed: 1, mean: 0, std: 1 }]),
      ...each('xavierNormal xavierUniform', [[2, 3], { seed: 1, gain: 1 }]),
      uniformValues: [[2, 3], { seed: 1, low: 0, high: 1 }],
      parametersOf: [linear],
    },
    objects: [
      {
        of: 'layer',
        on: () => createLinear(device, { inputs: 2, outputs: 2, seed: 1 }),
        methods: { forward: { args: [device.ones([1, 2])], named: 'linear' } },
        leftOut: { dispose: 'takes nothing' },
      },
      {
        of: 'dropout layer',
        on: () => createDropout(0.5),
        methods: {
          forward: {
            args: [device.ones([1, 2]), { key: device.tensor(Uint32Array.of(1, 2)) }],
            taken: ['1.key:NaN', '1.key:-1', '1.key:1.5'],
            named: 'dropout',
          },
        },
        leftOut: { dispose: 'takes nothing' },
      },
    ],
  };
}
