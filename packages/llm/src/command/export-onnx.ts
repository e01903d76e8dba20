import { openDevice, type Tensor } from '@heddle/tensor';
import { exportOnnx } from '@heddle/tensor/onnx';
import { bytesText } from '../inspect/units.ts';
import { loadModel } from '../load-model.ts';
import { type WeightDType, weightDTypes } from '../models/weight-file.ts';
import { flag, oneOf, parse, text, wholeNumber } from './options/option-values.ts';
import { UsageError } from './options/usage.ts';
import { progressBar } from './pull.ts';

export interface ExportOnnxCommand {
  readonly model: string;
  readonly output: string;
  readonly dtype: WeightDType | undefined;
  /** Most tokens of a run; default the model's context. */
  readonly context: number | undefined;
  readonly json: boolean;
}

/** @throws UsageError naming the option, what it takes and what came */
export function parseExportOnnx(args: readonly string[]): ExportOnnxCommand {
  const values = parse(args, { model: text, output: text, dtype: text, context: text, json: flag });
  const { model, output } = values;
  if (!model) throw new UsageError('export-onnx needs --model MODEL: a folder, a .gguf file or owner/name of a hub');
  if (!output) throw new UsageError('export-onnx needs --output FILE.onnx');
  return {
    model,
    output,
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    context: wholeNumber('--context', values.context, 1),
    json: values.json ?? false,
  };
}

/** `heddle export-onnx`: a model without a cache as a file of ONNX: token ids i32 `[T]` to logits f32 `[T, V]`. */
export async function exportOnnxCommand(command: ExportOnnxCommand, signal: AbortSignal): Promise<number> {
  const bar = progressBar();
  const onProgress = () => signal.throwIfAborted();
  await using device = await openDevice('onnx');
  const loading = { device, hub: { signal, onProgress: bar.show }, onProgress };
  await using model = await loadModel(command.model, {
    ...loading,
    ...(command.dtype && { dtype: command.dtype }),
  }).finally(bar.end);
  const { maxPositions } = model.config;
  const most = Math.min(command.context ?? maxPositions, maxPositions);
  const logits = (tokens: Tensor) => ({ logits: model.forward({ tokens }).logits.cast('f32') });
  const file = await exportOnnx(logits, [{ shape: ['T'], dtype: 'i32' }], {
    device,
    symbols: { T: most },
    inputNames: ['tokens'],
    path: command.output,
  });
  const weights = file.externalData.reduce((total, { data }) => total + data.byteLength, 0);
  const bytes = file.bytes.byteLength + weights;
  const report = { path: command.output, bytes, inputs: ['tokens'], outputs: ['logits'], max_tokens: most };
  process.stdout.write(
    command.json ? `${JSON.stringify(report)}\n` : `${command.output}: ${bytesText(bytes)}, tokens to logits\n`,
  );
  return 0;
}
