import { DeviceError } from '../../checks/errors.ts';
import { getOrMake } from './get-or-make.ts';
import { shaderStageCompute } from './gpu-flags.ts';
import type { DeviceHealth } from './health.ts';
import type { Step } from './values.ts';

/** A pipeline with the layout of its bind groups. */
export interface Pipeline {
  readonly gpu: GPUComputePipeline;
  readonly layout: GPUBindGroupLayout;
}

interface Layout {
  readonly group: GPUBindGroupLayout;
  readonly pipeline: GPUPipelineLayout;
}

/** Pipelines by their text: kernels of one text are compiled once per device, side by side with others. */
export class PipelineCache {
  readonly #device: GPUDevice;
  readonly #health: DeviceHealth;
  readonly #pipelines = new Map<string, Promise<Pipeline>>();
  readonly #layouts = new Map<string, Layout>();

  constructor(device: GPUDevice, health: DeviceHealth) {
    this.#device = device;
    this.#health = health;
  }

  /** @throws DeviceError where the text does not compile */
  get(step: Step): Promise<Pipeline> {
    return getOrMake(this.#pipelines, step.source, () => this.#health.orFailure(this.#create(step)));
  }

  async #create(step: Step): Promise<Pipeline> {
    const { label, source } = step;
    const layout = this.#layoutOf(step);
    // errors of the module come out of the scope, errors of the pipeline out of its promise
    this.#device.pushErrorScope('validation');
    const module = this.#device.createShaderModule({ code: source, label });
    const invalid = this.#device.popErrorScope();
    const creation = this.#device
      .createComputePipelineAsync({ label, layout: layout.pipeline, compute: { module, entryPoint: 'main' } })
      .catch((cause: unknown) => cause as Error);
    const [moduleError, gpu] = await Promise.all([invalid, creation]);
    if (moduleError || gpu instanceof Error || !('getBindGroupLayout' in gpu)) {
      const why = moduleError?.message ?? (gpu as Error).message;
      throw new DeviceError(`webgpu: the kernel ${label} does not compile: ${why}\n${numbered(source)}`);
    }
    return { gpu, layout: layout.group };
  }

  /** Bindings are said outright, with the least sizes, so that nothing is left to check at a dispatch. */
  #layoutOf({ bindings, parameters }: Step): Layout {
    const key = `${bindings.map(({ access }) => access[0]).join('')}${parameters.length}`;
    let layout = this.#layouts.get(key);
    if (!layout) {
      const entries: GPUBindGroupLayoutEntry[] = bindings.map(({ access }, binding) => ({
        binding,
        visibility: shaderStageCompute,
        buffer: { type: access === 'read' ? 'read-only-storage' : 'storage', minBindingSize: 16 },
      }));
      if (parameters.length > 0)
        entries.push({
          binding: bindings.length,
          visibility: shaderStageCompute,
          buffer: { type: 'uniform', minBindingSize: parameterBytes(parameters.length) },
        });
      const group = this.#device.createBindGroupLayout({ entries });
      layout = { group, pipeline: this.#device.createPipelineLayout({ bindGroupLayouts: [group] }) };
      this.#layouts.set(key, layout);
    }
    return layout;
  }
}

/** Bytes of a parameter block of `count` sizes. */
function parameterBytes(count: number): number {
  return Math.ceil(count / 4) * 16;
}

const numbered = (source: string) =>
  source
    .split('\n')
    .map((line, i) => `${String(i + 1).padStart(4)} ${line}`)
    .join('\n');
