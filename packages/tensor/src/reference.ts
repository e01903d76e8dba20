import { checkOptions } from './checks/check-options.ts';
import { createDevice } from './create-device.ts';
import { ReferenceExecutor } from './executors/reference/executor.ts';
import type { Device } from './graph/device.ts';
import { checkBudget } from './report/memory.ts';

/** Options of `openReference`. */
export interface ReferenceOptions {
  /** The most bytes that tensors and variables may take (eight a value). */
  readonly memoryBudget?: number;
  /**
   * Whether to check indices in each run (`IndexError`), which reads a few numbers back, and to note where each allocation came
   * from, for `device.leaks()`.
   */
  readonly debug?: boolean;
}

/** Opens the reference device: plain TypeScript in float64, on any machine. Owned by the caller. @throws ArgumentError */
export async function openReference(options: ReferenceOptions = {}): Promise<Device> {
  checkOptions('openReference', options, { memoryBudget: 'anything', debug: 'boolean?' });
  checkBudget('openReference', options.memoryBudget);
  return createDevice(new ReferenceExecutor(options));
}
