import { readFile } from 'node:fs/promises';
import { type Device, type DeviceName, deviceNames, openDevice } from '@heddle/tensor';
import { openEngine } from '../engine/default-engine.ts';
import { bytesText } from '../inspect/units.ts';
import { type LoadedModel, loadModel } from '../load-model.ts';
import { divergence } from '../quantize/logits-divergence.ts';
import { quantizeModel } from '../quantize/quantize-model.ts';
import { type QuantizedDType, quantizedDTypes } from '../quantize/stored-type.ts';
import { sampler } from '../sampler.ts';
import { gpuEnvironment } from './gpu-environment.ts';
import { flag, oneOf, parse, text } from './options/option-values.ts';
import { UsageError } from './options/usage.ts';
import { progressBar } from './pull.ts';

export interface QuantizeCommand {
  readonly model: string;
  readonly output: string;
  readonly dtype: QuantizedDType;
  /** Whether to compare predictions with those of the model in f16. */
  readonly check: boolean;
  /** A file of text to compare on. */
  readonly text: string | undefined;
  readonly device: DeviceName;
  readonly json: boolean;
}

/** @throws UsageError naming the option, what it takes and what came */
export function parseQuantize(args: readonly string[]): QuantizeCommand {
  const kinds = { model: text, output: text, dtype: text, text, device: text, 'no-check': flag, json: flag };
  const values = parse(args, kinds);
  const { model, output } = values;
  if (!model) throw new UsageError('quantize needs --model MODEL: a folder, a .gguf file or owner/name of a hub');
  if (!output) throw new UsageError('quantize needs --output FILE.gguf, or a folder');
  const dtype = oneOf('--dtype', values.dtype, quantizedDTypes);
  if (!dtype) throw new UsageError(`quantize needs --dtype: ${quantizedDTypes.join(', ')}`);
  if (values['no-check'] && values.text !== undefined) throw new UsageError('--no-check and --text exclude each other');
  return {
    model,
    output,
    dtype,
    check: !values['no-check'],
    text: values.text,
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    json: values.json ?? false,
  };
}

/** Rows that predictions are compared on, and their most tokens. */
const [rowCount, rowTokens] = [4, 128];

/** `heddle quantize`: writes a GGUF file or a folder, and says how far its predictions are from those of the model in f16. */
export async function quantizeCommand(command: QuantizeCommand, signal: AbortSignal): Promise<number> {
  const bar = progressBar();
  const hub = { signal, onProgress: bar.show };
  const onProgress = () => signal.throwIfAborted();
  const written = await quantizeModel(command.model, command.output, { dtype: command.dtype, hub, onProgress }).finally(
    bar.end,
  );
  for (const note of written.notes) process.stderr.write(`heddle: ${note}\n`);
  const { path, byteLength } = written;
  const say = (line: string) => {
    if (!command.json) process.stdout.write(`${line}\n`);
  };
  const report = (check: Checked | null) => {
    if (command.json)
      process.stdout.write(`${JSON.stringify({ path, bytes: byteLength, dtype: command.dtype, check })}\n`);
    return 0;
  };
  say(`${path}: ${bytesText(byteLength)} in ${command.dtype}`);
  if (!command.check) return report(null);
  const device = await openDevice(command.device, { webgpu: gpuEnvironment() });
  try {
    const check = await compare(command, device, signal);
    say(
      `KL from f16 ${check.kl.toExponential(2)} nats a token, the same token most likely at ${(100 * check.same_top).toFixed(1)}% of ${check.positions} positions (${device.name})`,
    );
    return report(check);
  } finally {
    await device.dispose();
  }
}

/** How far predictions are from those of the model in f16. */
interface Checked {
  /** Nats a token. */
  readonly kl: number;
  /** Part of the positions at which the same token is the most likely one. */
  readonly same_top: number;
  readonly positions: number;
  readonly device: string;
}

async function compare(command: QuantizeCommand, device: Device, signal: AbortSignal): Promise<Checked> {
  const onProgress = () => signal.throwIfAborted();
  const reference = await loadModel(command.model, { device, dtype: 'f16', activations: 'f32', onProgress });
  try {
    const rows = command.text === undefined ? await ownText(reference) : await rowsOf(reference, command.text);
    const model = await loadModel(command.output, { device, activations: 'f32', onProgress });
    try {
      const { kl, sameTop, positions } = await divergence(reference, model, rows);
      return { kl, same_top: sameTop, positions, device: device.name };
    } finally {
      await model.dispose();
    }
  } finally {
    await reference.dispose();
  }
}

/** What the model writes by itself: drawn, so that it is of all kinds of texts that it knows. */
async function ownText(model: LoadedModel): Promise<number[][]> {
  const maxTokens = Math.min(rowTokens, model.config.maxPositions) - 1;
  const first = [model.config.bosTokenId ?? 0];
  const engine = openEngine(model, {
    maxSequences: rowCount,
    maxSequenceTokens: maxTokens + 1,
    sampler: sampler({ temperature: 1, seed: 1 }),
  });
  try {
    const write = async (sequence: number) => {
      const row = [...first];
      for await (const token of engine.generate({ tokens: first, maxTokens, sequence })) row.push(token);
      return row;
    };
    return await Promise.all(Array.from({ length: rowCount }, (_, sequence) => write(sequence)));
  } finally {
    await engine.dispose();
  }
}

async function rowsOf(model: LoadedModel, path: string): Promise<number[][]> {
  const length = Math.min(rowTokens, model.config.maxPositions);
  // no token of usual texts is longer
  const start = (await readFile(path, 'utf8')).slice(0, 16 * rowCount * length);
  const tokens = model.requireTokenizer().encode(start);
  const rows = Array.from({ length: rowCount }, (_, i) => [...tokens.slice(i * length, (i + 1) * length)]);
  return rows.filter((row) => row.length > 0);
}
