import { describe } from './checks/describe.ts';
import { ArgumentError } from './checks/errors.ts';
import { Device } from './graph/device.ts';
import type { Executor } from './graph/executor.ts';
import { tensorOperations } from './ops/tensor-operations.ts';

/**
 * A device whose tensors `executor` computes, for executors of one's own; `openReference`, `openOnnx` and `openWebGpu` open
 * the others. The device owns the executor: disposing of the one disposes of the other.
 * @throws ArgumentError for what is no executor
 */
export function createDevice(executor: Executor): Device {
  if (typeof executor?.compile !== 'function')
    throw new ArgumentError(`createDevice: takes an executor, got ${describe(executor)}`);
  return new Device(executor, tensorOperations);
}
