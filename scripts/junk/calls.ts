import type { Device } from '@heddle/tensor';
import { attentionCalls } from './attention.ts';
import { batcherCalls, batcherTestingCalls, loadCalls } from './batcher.ts';
import { kvcacheCalls } from './kvcache.ts';
import { llmCalls } from './llm.ts';
import { aiSdkCalls, cacheContractCalls, kernelContractCalls, serveCalls, trainingCalls } from './llm-others.ts';
import { tensorCalls } from './tensor.ts';
import { onnxCalls, referenceCalls, testingCalls, webgpuCalls } from './tensor-executors.ts';
import { npyCalls, quantizedCalls, safetensorsCalls } from './tensor-files.ts';
import { nnCalls } from './tensor-nn.ts';
import { trainerCalls } from './trainer.ts';
import { bpeCalls, checkpointCalls, dataCalls, loraCalls, reportCalls } from './trainer-files.ts';
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
  { specifier: '@heddle/trainer', make: trainerCalls },
  { specifier: '@heddle/trainer/checkpoint', make: checkpointCalls },
  { specifier: '@heddle/trainer/bpe', make: bpeCalls },
  { specifier: '@heddle/trainer/lora', make: loraCalls },
  { specifier: '@heddle/trainer/data', make: dataCalls },
  { specifier: '@heddle/trainer/report', make: reportCalls },
  { specifier: '@heddle/llm', make: llmCalls },
  { specifier: '@heddle/llm/training', make: trainingCalls },
  { specifier: '@heddle/llm/serve', make: serveCalls },
  { specifier: '@heddle/llm/ai-sdk', make: aiSdkCalls },
  { specifier: '@heddle/attention/testing', make: kernelContractCalls },
  { specifier: '@heddle/kvcache/testing', make: cacheContractCalls },
];
