import type { Device, Tensor } from '@heddle/tensor';
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
    exportOnnx: [
      (x: Tensor) => x.add(1),
      [{ shape: ['T', 2], dtype: 'f32' }],
      { device, symbols: { T: 4 }, inputNames: ['x'], outputNames: ['y'], path: 'y.onnx', externalAbove: 1024 },
    ],
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
  return {
    specifier: '@heddle/tensor/testing',
    functions: {
      allClose: [x, y, { relative: 1e-5, absolute: 1e-6 }],
      expectAllClose: [x, y, { relative: 1e-5, absolute: 1e-6 }],
      gradCheck: [(a: Tensor) => a.mul(2).sum(), [x], { step: 1e-2, argnums: [0], relative: 1e-2, absolute: 1e-2 }],
      executorContract: [() => device],
      operationContract: [
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
      recordingGpu: [{ limits: { maxBufferSize: 1e6 }, features: ['shader-f16'] }],
    },
  };
};
