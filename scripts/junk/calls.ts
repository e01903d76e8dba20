import type { Device } from '@heddle/tensor';
import { tensorCalls } from './tensor.ts';
import type { CallsOf } from './valid-call.ts';

/** What is called of each entry of each package. */
export const calls: readonly {
  readonly specifier: string;
  make(device: Device): CallsOf | Promise<CallsOf>;
}[] = [{ specifier: '@heddle/tensor', make: tensorCalls }];
