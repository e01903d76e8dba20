import { checkOptions } from './checks/check-options.ts';
import { ArgumentError } from './checks/errors.ts';
import { createDevice } from './create-device.ts';
import { OnnxExecutor } from './executors/onnx/executor.ts';
import { loadRuntime, type OnnxRuntime, threadsOf } from './executors/onnx/runtime.ts';
import type { Device } from './graph/device.ts';
import { checkBudget } from './report/memory.ts';

export { type Example, type ExportOptions, exportOnnx } from './executors/onnx/export/export.ts';
export type { OnnxFile } from './executors/onnx/export/onnx-file.ts';
export type { ExternalData, OnnxValue } from './executors/onnx/model.ts';
export type { OnnxRuntime, RuntimeSession, RuntimeTensor } from './executors/onnx/runtime.ts';

/** Options of `openOnnx`. */
export interface OnnxOptions {
  /** The most bytes that tensors, variables and the weights inside programs may take; the runtime's own memory is not known. */
  readonly memoryBudget?: number;
  /**
   * Whether to check indices in each run (`IndexError`), which reads a few numbers back, and to note where each allocation came
   * from, for `device.leaks()`.
   */
  readonly debug?: boolean;
  /**
   * Threads that compute an operator; by default one per processor. In a browser the first device of a page decides, and more
   * than one thread needs a page that is cross-origin isolated.
   */
  readonly threads?: number;
  /** The namespace object of `onnxruntime-web`, or another runtime's; by default `onnxruntime-node` is loaded. */
  readonly runtime?: OnnxRuntime;
}

/**
 * Opens ONNX Runtime on the CPU. Owned by the caller: dispose of the device to release its sessions.
 *
 * Runs block the event loop while they compute (onnxruntime-node): a server opens it in a worker.
 * @throws DeviceError where `onnxruntime-node` does not load, saying what to install; ArgumentError
 */
export async function openOnnx(options: OnnxOptions = {}): Promise<Device> {
  checkOptions('openOnnx', options, {
    memoryBudget: 'anything',
    debug: 'boolean?',
    threads: 'number?',
    runtime: 'object?',
  });
  const { memoryBudget, debug = false } = options;
  checkBudget('openOnnx', memoryBudget);
  if (options.threads !== undefined && (!Number.isInteger(options.threads) || options.threads < 1))
    throw new ArgumentError(`openOnnx: threads must be a positive integer, got ${options.threads}`);
  const runtime = options.runtime ?? (await loadRuntime());
  const threads = await threadsOf(runtime, options.threads);
  return createDevice(
    new OnnxExecutor({ runtime, threads, debug, ...(memoryBudget === undefined ? {} : { memoryBudget }) }),
  );
}
