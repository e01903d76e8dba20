import { ArgumentError, DeviceError } from '../../checks/errors.ts';
import { byteSize, type HostArray, hostLength, isBlockFormat } from '../../dtype.ts';
import type { CompileTarget, Executor, Program, Storage } from '../../graph/executor.ts';
import type { Graph } from '../../graph/graph.ts';
import type { Node } from '../../graph/op.ts';
import type { WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';
import { MemoryAccount, type MemoryReport } from '../../report/memory.ts';
import { type ConcreteType, sizeOf } from '../../shape.ts';
import { bindingsOf } from './codegen/parts.ts';
import { DeviceHealth } from './health.ts';
import { Arena } from './memory/arena.ts';
import { groupBytes } from './memory/block-layout.ts';
import { bufferBytes } from './memory/buffer-bytes.ts';
import { BufferPool } from './memory/buffers.ts';
import { HalfWriter } from './memory/half-writer.ts';
import { Readback } from './memory/readback.ts';
import { Staging } from './memory/staging.ts';
import { fromDevice, toDevice, WebGpuStorage } from './memory/storage.ts';
import { letGoOf } from './node-gpu.ts';
import { PipelineCache } from './pipelines.ts';
import { WebGpuProgram } from './program.ts';
import type { DeviceServices } from './services.ts';
import { TunedChoices } from './tuning/choices.ts';
import { TuningCache } from './tuning/tuning-cache.ts';

export interface WebGpuExecutorOptions {
  readonly device: GPUDevice;
  readonly capabilities: WebGpuCapabilities;
  readonly description: string;
  /**
   * Where the device is this executor's to destroy, and all of its errors this executor's. The GPU object that it came from
   * is held with it: in Node the process crashes where that is collected first.
   */
  readonly owned?: { readonly gpu: GPU | undefined } | undefined;
  readonly memoryBudget?: number | undefined;
  /** Whether operations share kernels. Default true; false is for comparing. */
  readonly fuse?: boolean | undefined;
  readonly debug?: boolean | undefined;
  /** What was measured before; by default nothing. */
  readonly tuning?: TuningCache | undefined;
}

/**
 * Runs graphs on a GPU through WebGPU: compiles them into WGSL kernels, plans their memory, and replays the plans, each as a
 * compute pass or, where it is long, as several that are submitted one after the other.
 */
export class WebGpuExecutor implements Executor {
  readonly name = 'webgpu';
  readonly description: string;
  readonly debug: boolean;
  readonly #fuse: boolean;
  readonly #services: DeviceServices;
  readonly #readback: Readback;
  readonly #halves: HalfWriter;
  readonly #staging: Staging;
  #owned: WebGpuExecutorOptions['owned'];
  #disposed = false;

  constructor(options: WebGpuExecutorOptions) {
    const { device, capabilities } = options;
    this.description = options.description;
    this.#fuse = options.fuse ?? true;
    this.#owned = options.owned;
    const health = new DeviceHealth(device, options.owned !== undefined);
    this.debug = options.debug ?? false;
    const account = new MemoryAccount(options.memoryBudget, options.debug);
    const pool = new BufferPool(device, account, () => health.flush());
    const arena = new Arena(pool);
    const pipelines = new PipelineCache(device, health);
    const choices = new TunedChoices(options.tuning ?? new TuningCache(), options.description);
    this.#services = { device, capabilities, health, account, pool, arena, pipelines, choices };
    this.#readback = new Readback(device, pool, health);
    this.#halves = new HalfWriter(device, pool, health);
    this.#staging = new Staging(device, health);
  }

  lowers(node: Node): boolean {
    const lowering = node.op.lower?.webgpu;
    if (!lowering) return false;
    const { capabilities } = this.#services;
    const count = node.inputs.length + node.outputs.length;
    const bindings = [...node.inputs, ...node.outputs].reduce(
      (sum, tensor) => sum + bindingsOf(tensor, capabilities),
      0,
    );
    const fits = bindings <= capabilities.maxStorageBuffers;
    if (!('kernels' in lowering)) return fits || !node.op.decompose;
    // kernels that cannot bind all parts of large tensors give way to the decomposition, where there is one
    if (!fits && bindings > count && node.op.decompose) return false;
    return lowering.supports?.(node, capabilities) ?? true;
  }

  create(type: ConcreteType, owner: string, data?: HostArray): WebGpuStorage {
    const { pool, health } = this.#services;
    health.assertWorks();
    const byteLength = bufferBytes(type.dtype, sizeOf(type.shape));
    pool.check(byteLength, owner, !isBlockFormat(type.dtype));
    const { buffer, used, release } = pool.allocate(byteLength, owner);
    const storage = new WebGpuStorage(type, buffer, release);
    if (data) this.write(storage, data);
    else if (used) {
      health.recorder.copies.clearBuffer(buffer.gpu);
      health.submit();
    }
    return storage;
  }

  write(storage: Storage, data: HostArray, offset = 0): void {
    const { device, health } = this.#services;
    health.assertWorks();
    health.flush();
    const { type, buffer } = storage as WebGpuStorage;
    const size = hostLength(type.dtype, sizeOf(type.shape));
    if (offset < 0 || offset + data.length > size)
      throw new ArgumentError(`write: values ${offset} to ${offset + data.length} are outside of ${size}`);
    if (data.length === 0) return;
    const bytes = toDevice(type.dtype, data);
    if (isBlockFormat(type.dtype)) {
      const group = groupBytes(type.dtype);
      if (offset % group !== 0 || (data.length % group !== 0 && offset + data.length !== size))
        throw new ArgumentError(`write: bytes of ${type.dtype} begin and end at multiples of ${group}`);
    }
    if (byteSize[type.dtype] !== 2) {
      device.queue.writeBuffer(buffer.gpu, isBlockFormat(type.dtype) ? offset : 4 * offset, bytes);
      return;
    }
    const endsOdd = (offset + data.length) % 2 === 1 && offset + data.length < size;
    if (offset % 2 === 1 || endsOdd) this.#halves.write(buffer, data as Uint16Array, offset);
    else device.queue.writeBuffer(buffer.gpu, 2 * offset, bytes);
  }

  writeParts(storage: Storage, parts: readonly HostArray[], offset = 0): void {
    const { type, buffer } = storage as WebGpuStorage;
    const each = byteSize[type.dtype];
    const isPlain = type.dtype !== 'bool' && !isBlockFormat(type.dtype);
    const isAligned = (each * offset) % 4 === 0 && parts.every(({ byteLength }) => byteLength % 4 === 0);
    if (isPlain && isAligned) {
      this.#services.health.assertWorks();
      this.#services.health.flush();
      this.#staging.write(buffer.gpu, each * offset, parts.map(bytesOf));
      return;
    }
    let at = offset;
    for (const part of parts) {
      this.write(storage, part, at);
      at += part.length;
    }
  }

  copy(storage: Storage, owner: string): WebGpuStorage {
    const { pool, health } = this.#services;
    health.assertWorks();
    const { type, buffer } = storage as WebGpuStorage;
    const byteLength = bufferBytes(type.dtype, sizeOf(type.shape));
    const allocation = pool.allocate(byteLength, owner);
    health.recorder.copies.copyBufferToBuffer(buffer.gpu, 0, allocation.buffer.gpu, 0, byteLength);
    health.submit();
    return new WebGpuStorage(type, allocation.buffer, allocation.release);
  }

  async read(storage: Storage): Promise<HostArray> {
    this.#services.health.assertWorks();
    const { type, buffer, byteLength } = storage as WebGpuStorage;
    return fromDevice(type, await this.#readback.read(buffer, byteLength));
  }

  async compile(graph: Graph, target: CompileTarget): Promise<Program> {
    this.#services.health.assertWorks();
    return new WebGpuProgram(graph, { ...target, fuse: this.#fuse }, this.#services);
  }

  hold(): () => void {
    return this.#services.health.hold();
  }

  memory(): MemoryReport {
    const { account, pool } = this.#services;
    return account.report({ pooled: pool.pooled + this.#readback.pooled + this.#staging.pooled });
  }

  async dispose(): Promise<void> {
    if (this.#disposed) return;
    this.#disposed = true;
    const { device, health, pool, arena } = this.#services;
    health.close();
    this.#readback.dispose();
    this.#staging.dispose();
    arena.dispose();
    pool.dispose();
    if (!this.#owned) return;
    device.destroy();
    letGoOf(this.#owned.gpu);
    this.#owned = undefined;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: HostArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

/** Refuses a device that cannot run the executor's kernels. @throws DeviceError */
export function assertCapable({ maxStorageBuffers, maxInvocations }: WebGpuCapabilities): void {
  if (maxStorageBuffers < 8 || maxInvocations < 256)
    throw new DeviceError(
      `openWebGpu: needs 8 storage buffers and 256 invocations a kernel, the device has ${maxStorageBuffers} and ${maxInvocations}`,
    );
}
