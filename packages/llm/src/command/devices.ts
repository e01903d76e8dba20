import { cpus, totalmem } from 'node:os';
import { isHeddleError } from '@heddle/tensor';
import { openOnnx } from '@heddle/tensor/onnx';
import { describeAdapters } from '@heddle/tensor/webgpu';
import { gpuEnvironment } from './gpu-environment.ts';
import type { parseDevices } from './options/generate-options.ts';

/** One device as `heddle devices` lists it. */
interface DeviceEntry {
  readonly device: 'webgpu' | 'onnx' | 'reference';
  readonly available: boolean;
  readonly description: string;
  /** Only with WebGPU: whether the adapter merely emulates a GPU, which 'auto' passes over. */
  readonly fallback?: boolean;
  readonly features?: readonly string[];
  readonly limits?: Readonly<Record<string, number>>;
}

/** `heddle devices`: every device that a model could run on, and why another is not there. */
export async function devices({ json, verbose }: ReturnType<typeof parseDevices>): Promise<number> {
  const entries = [...(await webgpuEntries()), await onnxEntry(), referenceEntry()];
  process.stdout.write(
    json ? `${JSON.stringify(entries)}\n` : entries.map((entry) => textOf(entry, verbose)).join(verbose ? '\n' : ''),
  );
  return 0;
}

async function webgpuEntries(): Promise<DeviceEntry[]> {
  try {
    const adapters = await describeAdapters(gpuEnvironment());
    if (adapters.length > 0)
      return adapters.map(({ description, isFallbackAdapter, features, limits }) => ({
        device: 'webgpu',
        available: true,
        description,
        fallback: isFallbackAdapter,
        features,
        limits,
      }));
    return [
      {
        device: 'webgpu',
        available: false,
        description: 'no adapter: no GPU, or no Vulkan, Metal or D3D12 driver for it',
      },
    ];
  } catch (error) {
    return [{ device: 'webgpu', available: false, description: reasonOf(error) }];
  }
}

async function onnxEntry(): Promise<DeviceEntry> {
  try {
    const device = await openOnnx();
    const { description } = device;
    await device.dispose();
    return { device: 'onnx', available: true, description: `${description}; ${processor()}` };
  } catch (error) {
    return { device: 'onnx', available: false, description: reasonOf(error) };
  }
}

function referenceEntry(): DeviceEntry {
  return { device: 'reference', available: true, description: `plain TypeScript in float64, slow; ${processor()}` };
}

function processor(): string {
  const list = cpus();
  return `${list[0]?.model.trim() ?? 'CPU'}, ${list.length} threads, ${gibibytes(totalmem())} of memory`;
}

function textOf(entry: DeviceEntry, verbose: boolean): string {
  const { device, available, description, fallback, features, limits } = entry;
  const lines = [
    `${device}${available ? '' : ' (not available)'}: ${description}${fallback ? ' (emulated; auto passes over it)' : ''}`,
  ];
  if (!verbose) return `${lines.join('\n')}\n`;
  if (features) lines.push(`  features: ${features.join(', ') || 'none'}`);
  for (const [name, value] of Object.entries(limits ?? {}))
    lines.push(`  ${name}: ${value >= 2 ** 20 ? gibibytes(value) : value}`);
  return `${lines.join('\n')}\n`;
}

function gibibytes(bytes: number): string {
  return bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(2)} GiB` : `${(bytes / 2 ** 20).toFixed(0)} MiB`;
}

function reasonOf(error: unknown): string {
  if (isHeddleError(error)) return error.message;
  throw error;
}
