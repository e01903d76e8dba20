import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import { flag, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

export interface BenchCommand {
  readonly model: string;
  readonly promptTokens: readonly number[];
  readonly batches: readonly number[];
  readonly newTokens: number;
  /** How often each is measured; the median counts. */
  readonly runs: number;
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  readonly json: boolean;
  /** A file that `--json` wrote. */
  readonly compare: string | undefined;
}

/** @throws UsageError */
export function parseBench(args: readonly string[]): BenchCommand {
  const values = parse(args, {
    model: text,
    'prompt-tokens': text,
    batches: text,
    'new-tokens': text,
    runs: text,
    device: text,
    dtype: text,
    json: flag,
    compare: text,
  });
  if (!values.model) throw new UsageError('bench needs --model MODEL');
  return {
    model: values.model,
    promptTokens: counts('--prompt-tokens', values['prompt-tokens'] ?? '32,256'),
    batches: counts('--batches', values.batches ?? '1,8'),
    newTokens: wholeNumber('--new-tokens', values['new-tokens'], 2) ?? 32,
    runs: wholeNumber('--runs', values.runs, 1) ?? 3,
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    json: values.json ?? false,
    compare: values.compare,
  };
}

function counts(name: string, value: string): number[] {
  return value.split(',').map((each) => wholeNumber(name, each.trim(), 1)!);
}
