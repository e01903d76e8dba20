import type { WebGpuCapabilities } from '../../graph/webgpu-lowering.ts';
import type { MemoryAccount } from '../../report/memory.ts';
import type { DeviceHealth } from './health.ts';
import type { Arena } from './memory/arena.ts';
import type { BufferPool } from './memory/buffers.ts';
import type { PipelineCache } from './pipelines.ts';
import type { Choices } from './tuning/choices.ts';

/** What the programs of one device share. */
export interface DeviceServices {
  readonly device: GPUDevice;
  readonly capabilities: WebGpuCapabilities;
  readonly health: DeviceHealth;
  readonly account: MemoryAccount;
  readonly pool: BufferPool;
  readonly arena: Arena;
  readonly pipelines: PipelineCache;
  readonly choices: Choices;
}
