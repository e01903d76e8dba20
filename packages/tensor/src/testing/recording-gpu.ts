import { checkArguments } from '../checks/check-arguments.ts';
import { checkOptions } from '../checks/check-options.ts';
import { RecordedBuffer, type RecordedBufferState } from './recorded-buffer.ts';

/** The limits that every WebGPU device has at least, of those that kernels and buffers ask for. */
export const leastLimits: Readonly<Record<string, number>> = {
  maxStorageBufferBindingSize: 134_217_728,
  maxUniformBufferBindingSize: 65_536,
  maxBufferSize: 268_435_456,
  maxStorageBuffersPerShaderStage: 8,
  maxComputeWorkgroupStorageSize: 16_384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxComputeWorkgroupSizeX: 256,
  maxComputeWorkgroupSizeY: 256,
  maxComputeWorkgroupSizeZ: 64,
  maxComputeWorkgroupsPerDimension: 65_535,
};

/** A buffer, or a part of it, that a dispatch binds. */
export interface RecordedBinding {
  /** Which buffer, counted from 0 in the order in which they were made. */
  readonly buffer: number;
  readonly offset: number;
  readonly size: number;
  readonly access: 'read-only-storage' | 'storage' | 'uniform';
}

/** One dispatch that was submitted. */
export interface RecordedDispatch {
  readonly label: string;
  readonly workgroups: readonly [number, number, number];
  readonly bindings: readonly RecordedBinding[];
}

/** A device that computes nothing and notes everything. */
export interface RecordingGpu {
  /** To open an executor on: `openWebGpu({ device })`. Buffers read as zeros. */
  readonly device: GPUDevice;
  /** Kernels in the order in which their modules were made. */
  readonly shaders: readonly { readonly label: string; readonly code: string }[];
  /** Dispatches in the order in which they were submitted. */
  readonly dispatches: readonly RecordedDispatch[];
  /** Every buffer that was made, with what became of it. */
  readonly buffers: readonly RecordedBufferState[];
  /** How often each `create` method was called since the last look; those that were not are left out. */
  made(): Readonly<Record<string, number>>;
  /** Ends the device as a driver would. */
  lose(message: string): void;
}

interface Layout {
  readonly entries: readonly GPUBindGroupLayoutEntry[];
}
interface Group {
  readonly bindings: readonly RecordedBinding[];
}
interface Pipeline {
  readonly label: string;
}

/**
 * A `GPUDevice` for tests without any GPU: an executor opens on it, compiles and runs programs, and what it asked of the device
 * is there to look at, for snapshots of WGSL and of dispatches. It has the least limits that WebGPU promises, unless others
 * are given, and throws where one is broken: a buffer or a binding that is too large, too many of them, too many workgroups.
 * WGSL is not parsed.
 * @throws ArgumentError for options that are no object
 */
export function recordingGpu(
  options: { readonly limits?: Readonly<Record<string, number>>; readonly features?: readonly string[] } = {},
): RecordingGpu {
  checkOptions('recordingGpu', options, { limits: 'object?', features: 'texts?' });
  checkArguments('recordingGpu', 'number', { ...options.limits });
  const limits: Record<string, number> = { ...leastLimits, ...options.limits };
  const shaders: { label: string; code: string }[] = [];
  const dispatches: RecordedDispatch[] = [];
  const buffers: RecordedBuffer[] = [];
  let counts: Record<string, number> = {};
  let lose: (info: { reason: string; message: string }) => void = () => {};
  const lost = new Promise((resolve) => {
    lose = resolve;
  });
  const within = (limit: string, value: number, what: string) => {
    if (value > limits[limit]!) throw new Error(`${what}: ${value} is over ${limit}, which is ${limits[limit]}`);
  };
  const count = <T>(name: string, made: T): T => {
    counts[name] = (counts[name] ?? 0) + 1;
    return made;
  };

  const bind = ({ entries }: Layout, resources: readonly GPUBindGroupEntry[], label: string): RecordedBinding[] => {
    const storage = entries.filter(({ buffer }) => buffer?.type !== 'uniform').length;
    within('maxStorageBuffersPerShaderStage', storage, `${label}: storage buffers`);
    return [...resources].map(({ binding, resource }) => {
      const { buffer, offset = 0, size } = resource as GPUBufferBinding;
      const of = buffer as unknown as RecordedBuffer;
      const access = (entries.find((entry) => entry.binding === binding)?.buffer?.type ?? 'storage') as 'storage';
      const bytes = size ?? of.size - offset;
      const limit = (access as string) === 'uniform' ? 'maxUniformBufferBindingSize' : 'maxStorageBufferBindingSize';
      within(limit, bytes, `${label}: binding ${binding}`);
      if (offset + bytes > of.size) throw new Error(`${label}: binding ${binding} reaches past the end of its buffer`);
      return { buffer: of.index, offset, size: bytes, access };
    });
  };

  const pipelineOf = ({ label = '' }: { label?: string }): Pipeline & { getBindGroupLayout(): Layout } => ({
    label,
    getBindGroupLayout: () => ({ entries: [] }),
  });

  const encoder = () => {
    const commands: (() => void)[] = [];
    return {
      commands,
      beginComputePass() {
        let [pipeline, group]: [Pipeline | undefined, Group | undefined] = [undefined, undefined];
        return {
          setPipeline: (next: Pipeline) => {
            pipeline = next;
          },
          setBindGroup: (_: number, next: Group) => {
            group = next;
          },
          dispatchWorkgroups(x: number, y = 1, z = 1) {
            const { label } = pipeline!;
            for (const n of [x, y, z]) within('maxComputeWorkgroupsPerDimension', n, `${label}: workgroups`);
            const { bindings } = group!;
            commands.push(() => dispatches.push({ label, workgroups: [x, y, z], bindings }));
          },
          end() {},
        };
      },
      copyBufferToBuffer() {},
      clearBuffer() {},
      resolveQuerySet() {},
      finish: () => ({ commands }),
    };
  };

  const device = {
    label: '',
    features: new Set(options.features ?? []),
    limits,
    adapterInfo: { vendor: 'none', architecture: 'recording', device: '', description: 'a recording device' },
    lost,
    queue: {
      submit: (lists: readonly { readonly commands: readonly (() => void)[] }[]) => {
        for (const { commands } of lists) for (const run of commands) run();
      },
      writeBuffer() {},
      onSubmittedWorkDone: async () => {},
    },
    addEventListener() {},
    removeEventListener() {},
    pushErrorScope() {},
    popErrorScope: async () => null,
    createBuffer({ size, usage }: GPUBufferDescriptor) {
      within('maxBufferSize', size, 'createBuffer');
      const buffer = new RecordedBuffer(buffers.length, size, usage);
      buffers.push(buffer);
      return count('createBuffer', buffer);
    },
    createShaderModule({ code, label = '' }: GPUShaderModuleDescriptor) {
      shaders.push({ label, code });
      return count('createShaderModule', { getCompilationInfo: async () => ({ messages: [] }) });
    },
    createBindGroupLayout: ({ entries }: GPUBindGroupLayoutDescriptor): Layout =>
      count('createBindGroupLayout', { entries: [...entries] }),
    createPipelineLayout: () => count('createPipelineLayout', {}),
    createComputePipeline: (descriptor: { label?: string }) => count('createComputePipeline', pipelineOf(descriptor)),
    createComputePipelineAsync: async (descriptor: { label?: string }) =>
      count('createComputePipelineAsync', pipelineOf(descriptor)),
    createBindGroup: ({ layout, entries, label = 'createBindGroup' }: GPUBindGroupDescriptor): Group =>
      count('createBindGroup', { bindings: bind(layout as unknown as Layout, [...entries], label) }),
    createQuerySet: () => count('createQuerySet', { destroy() {} }),
    createCommandEncoder: encoder,
    destroy: () => lose({ reason: 'destroyed', message: 'destroy() was called' }),
  };
  return {
    device: device as unknown as GPUDevice,
    shaders,
    dispatches,
    buffers,
    made() {
      const made = counts;
      counts = {};
      return made;
    },
    lose: (message) => lose({ reason: 'unknown', message }),
  };
}
