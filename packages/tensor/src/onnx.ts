import { Device } from './device.ts';
import { ArgumentError } from './errors.ts';
import { OnnxExecutor } from './executors/onnx/executor.ts';
import { defaultThreads, loadRuntime, type OnnxRuntime } from './executors/onnx/runtime.ts';

export { type Example, type ExportOptions, exportOnnx } from './executors/onnx/export/export.ts';
export type { OnnxFile } from './executors/onnx/export/onnx-file.ts';
export type { ExternalData, OnnxValue } from './executors/onnx/model.ts';
export type { OnnxRuntime, RuntimeSession, RuntimeTensor } from './executors/onnx/runtime.ts';

export interface OnnxOptions {
  /** The most bytes that tensors, variables and the weights inside programs may take; the runtime's own memory is not known. */
  readonly memoryBudget?: number;
  /** Threads that compute an operator; by default one per processor. */
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
  const { memoryBudget, threads = await defaultThreads() } = options;
  if (!Number.isInteger(threads) || threads < 1)
    throw new ArgumentError(`openOnnx: threads must be a positive integer, got ${threads}`);
  const runtime = options.runtime ?? (await loadRuntime());
  return new Device(new OnnxExecutor({ runtime, threads, ...(memoryBudget === undefined ? {} : { memoryBudget }) }));
}
