import { add, type Device, type Tensor } from '@heddle/tensor';
import type { CallsOf } from './valid-call.ts';

/** What is called of `@heddle/tensor/reference`. */
export const referenceCalls = (): CallsOf => ({
  specifier: '@heddle/tensor/reference',
  functions: { openReference: [{ memoryBudget: 1e6, debug: true }] },
});

/** What is called of `@heddle/tensor/onnx`. */
export const onnxCalls = (device: Device): CallsOf => ({
  specifier: '@heddle/tensor/onnx',
  functions: {
    openOnnx: [{ memoryBudget: 1e6, debug: true, threads: 1 }],
    exportOnnx: {
      // what is no spec is passed to the function as it is
      taken: ['1:[]', '1.0:*', '1.0.shape:*', '2.symbols:misspelt', '2.symbols.T:undefined'],
      args: [
        (x: Tensor) => add(x, 1),
        [{ shape: ['T', 2], dtype: 'f32' }],
        { device, symbols: { T: 4 }, inputNames: ['x'], outputNames: ['y'], path: 'y.onnx', externalAbove: 1024 },
      ],
    },
  },
});

/** What is called of `@heddle/tensor/webgpu`. */
export const webgpuCalls = (): CallsOf => ({
  specifier: '@heddle/tensor/webgpu',
  functions: {},
  leftOut: { openWebGpu: 'is asked for by openDevice, too', describeAdapters: 'opens a GPU' },
});

/** What is called of `@heddle/tensor/testing`. */
export const testingCalls = (device: Device): CallsOf => {
  const x = device.tensor([1, 2]);
  const y = device.tensor([1, 2]);
  // tensors, arrays and numbers are compared with each other
  const lists = ['0:NaN', '0:-1', '0:1.5', '0:[]', '0:foreign', '1:NaN', '1:-1', '1:1.5', '1:[]', '1:foreign'];
  return {
    specifier: '@heddle/tensor/testing',
    functions: {
      allClose: { args: [x, y, { relative: 1e-5, absolute: 1e-6 }], taken: lists },
      expectAllClose: { args: [x, y, { relative: 1e-5, absolute: 1e-6 }], taken: lists },
      gradCheck: {
        args: [(a: Tensor) => a.mul(2).sum(), [x], { step: 1e-2, argnums: [0], relative: 1e-2, absolute: 1e-2 }],
        taken: [
          '0:function',
          '1:[]',
          '1.0:disposed',
          '2.argnums:[]',
          '2.argnums:function',
          '2.relative:-1',
          '2.absolute:-1',
        ],
      },
      executorContract: [() => device],
      operationContract: {
        // what a case is made of is looked at when it runs
        taken: [
          '0.0.inputs.0:*',
          '0.0.inputs.0.shape:*',
          '0.0.inputs.0.values:*',
          '0.0.inputs.0.dtype:*',
          '0.0.expected:*',
          '0.0.expected.0:*',
        ],
        args: [
          [
            {
              name: 'abs',
              inputs: [{ shape: [2], dtype: 'f32', values: [1, -2] }],
              f: (a: Tensor) => a.abs(),
              gradient: true,
              tolerance: 1e-5,
              expected: [1, 2],
            },
          ],
          () => device,
        ],
      },
      recordingGpu: {
        args: [{ limits: { maxBufferSize: 1e6 }, features: ['shader-f16'] }],
        taken: ['0.limits:misspelt'],
      },
    },
  };
};
