import type { Device } from '@heddle/tensor';
import { attentionCalls } from './attention.ts';
import { batcherCalls, batcherTestingCalls, loadCalls } from './batcher.ts';
import { kvcacheCalls } from './kvcache.ts';
import { tensorCalls } from './tensor.ts';
import { onnxCalls, referenceCalls, testingCalls, webgpuCalls } from './tensor-executors.ts';
import { npyCalls, quantizedCalls, safetensorsCalls } from './tensor-files.ts';
import { nnCalls } from './tensor-nn.ts';
import type { CallsOf } from './valid-call.ts';

/** What is called of each entry of each package; files are written to `folder`. */
export const calls: readonly {
  readonly specifier: string;
  make(device: Device, folder: string): CallsOf | Promise<CallsOf>;
}[] = [
  { specifier: '@heddle/tensor', make: tensorCalls },
  { specifier: '@heddle/tensor/webgpu', make: webgpuCalls },
  { specifier: '@heddle/tensor/onnx', make: onnxCalls },
  { specifier: '@heddle/tensor/reference', make: referenceCalls },
  { specifier: '@heddle/tensor/safetensors', make: safetensorsCalls },
  { specifier: '@heddle/tensor/quantized', make: quantizedCalls },
  { specifier: '@heddle/tensor/nn', make: nnCalls },
  { specifier: '@heddle/tensor/npy', make: npyCalls },
  { specifier: '@heddle/tensor/testing', make: testingCalls },
  { specifier: '@heddle/attention', make: attentionCalls },
  { specifier: '@heddle/kvcache', make: kvcacheCalls },
  { specifier: '@heddle/batcher', make: batcherCalls },
  { specifier: '@heddle/batcher/testing', make: batcherTestingCalls },
  { specifier: '@heddle/batcher/load', make: loadCalls },
];
