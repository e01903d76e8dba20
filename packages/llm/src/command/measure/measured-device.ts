import { mkdir, readFile, rename, stat, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { type Device, type DeviceName, openDevice } from '@heddle/tensor';
import { openEngine } from '../../engine/default-engine.ts';
import { type LoadModelOptions, loadModel } from '../../load-model.ts';
import { gpuEnvironment } from '../gpu-environment.ts';
import { benchRow } from './bench-run.ts';

/** Which model is to be computed, and as what. */
export interface MeasuredModel {
  readonly source: string;
  readonly dtype?: LoadModelOptions['dtype'];
}

/** What measuring needs of its surroundings; tests give others. */
export interface MeasuringParts {
  /** The file in which answers are kept. */
  readonly memory: string;
  /** A GPU, and ONNX Runtime; undefined where there is none. The devices stay with who measures. */
  readonly open: (name: 'webgpu' | 'onnx') => Promise<Device | undefined>;
  /** Seconds that a short answer takes there. */
  readonly measure: (model: MeasuredModel, device: Device, signal: AbortSignal) => Promise<number>;
  readonly say: (line: string) => void;
}

const usual: MeasuringParts = {
  memory: join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'heddle', 'devices.json'),
  open: (name) =>
    openDevice(name, { webgpu: { ...gpuEnvironment(), allowFallbackAdapter: false } }).catch(() => undefined),
  measure: secondsOfAnswer,
  say: (line) => void process.stderr.write(`${line}\n`),
};

/**
 * The device that answers sooner with a model, where 'auto' was asked for and there are two: measured the first time, and remembered for
 * these files, this dtype and these devices. Where there is one it is that.
 */
export async function measuredDevice(
  asked: DeviceName,
  model: MeasuredModel,
  signal: AbortSignal = new AbortController().signal,
  parts: MeasuringParts = usual,
): Promise<DeviceName> {
  if (asked !== 'auto') return asked;
  const devices: Device[] = [];
  try {
    for (const name of ['webgpu', 'onnx'] as const) {
      const device = await parts.open(name);
      if (!device) return 'auto';
      devices.push(device);
    }
    const key = await keyOf(model, devices);
    const remembered = await read(parts.memory);
    const known = remembered[key];
    if (known === 'webgpu' || known === 'onnx') return known;
    parts.say('measuring which device answers sooner with this model (once; --device names one)');
    const seconds: number[] = [];
    for (const device of devices) {
      // one that the model does not fit on is not the faster one
      seconds.push(await parts.measure(model, device, signal).catch(() => Number.POSITIVE_INFINITY));
      signal.throwIfAborted();
    }
    // where neither can, opening it says why
    if (!seconds.some(Number.isFinite)) return 'auto';
    const best = seconds[0]! <= seconds[1]! ? ('webgpu' as const) : ('onnx' as const);
    await write(parts.memory, { ...remembered, [key]: best });
    return best;
  } finally {
    for (const device of devices) await device.dispose();
  }
}

/** A prompt of 64 tokens and 32 after it. */
async function secondsOfAnswer({ source, dtype }: MeasuredModel, device: Device, signal: AbortSignal): Promise<number> {
  const [promptTokens, newTokens] = [64, 32];
  await using model = await loadModel(source, { device, ...(dtype && { dtype }) });
  await using engine = openEngine(model, { maxSequences: 1, maxSequenceTokens: promptTokens + newTokens });
  const sizes = { promptTokens, batch: 1, newTokens, runs: 3 };
  const row = await benchRow(engine, model.config.vocabularySize, sizes, signal);
  return row.first_token_ms / 1000 + (newTokens - 1) / row.decode_tokens_per_s;
}

async function keyOf({ source, dtype }: MeasuredModel, devices: readonly Device[]): Promise<string> {
  const found = await stat(source).catch(() => undefined);
  const where = found ? `${resolve(source)} ${found.size} ${found.mtimeMs}` : source;
  return [where, dtype ?? 'default', ...devices.map(({ description }) => description)].join('\n');
}

async function read(path: string): Promise<Readonly<Record<string, unknown>>> {
  try {
    const found: unknown = JSON.parse(await readFile(path, 'utf8'));
    return typeof found === 'object' && found !== null && !Array.isArray(found) ? { ...found } : {};
  } catch {
    return {}; // one that is missing or damaged is made anew
  }
}

/** Who cannot remember measures again. */
async function write(path: string, content: object): Promise<void> {
  const part = `${path}.${crypto.randomUUID()}.part`;
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(part, JSON.stringify(content), { flag: 'wx' });
    await rename(part, path);
  } catch {}
}
