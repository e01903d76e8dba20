import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import { flag, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

export interface EvalCommand {
  readonly model: string;
  /** A file whose perplexity is measured. */
  readonly text: string | undefined;
  /** JSON lines of questions with several answers. */
  readonly choices: string | undefined;
  /** Tokens of a window. */
  readonly context: number;
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  readonly json: boolean;
}

/** @throws UsageError */
export function parseEval(args: readonly string[]): EvalCommand {
  const values = parse(args, {
    model: text,
    text,
    choices: text,
    context: text,
    device: text,
    dtype: text,
    json: flag,
  });
  if (!values.model) throw new UsageError('eval needs --model MODEL');
  if ((values.text === undefined) === (values.choices === undefined))
    throw new UsageError('eval takes either --text FILE or --choices FILE.jsonl');
  return {
    model: values.model,
    text: values.text,
    choices: values.choices,
    context: wholeNumber('--context', values.context, 2) ?? 512,
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    json: values.json ?? false,
  };
}
