import type { Device } from '@heddle/tensor';
import { attentionCalls } from './attention.ts';
import { batcherCalls, batcherTestingCalls, loadCalls } from './batcher.ts';
import { kvcacheCalls } from './kvcache.ts';
import { tensorCalls } from './tensor.ts';
import type { CallsOf } from './valid-call.ts';

/** What is called of each entry of each package; files are written to `folder`. */
export const calls: readonly {
  readonly specifier: string;
  make(device: Device, folder: string): CallsOf | Promise<CallsOf>;
}[] = [
  { specifier: '@heddle/tensor', make: tensorCalls },
  { specifier: '@heddle/attention', make: attentionCalls },
  { specifier: '@heddle/kvcache', make: kvcacheCalls },
  { specifier: '@heddle/batcher', make: batcherCalls },
  { specifier: '@heddle/batcher/testing', make: batcherTestingCalls },
  { specifier: '@heddle/batcher/load', make: loadCalls },
];
