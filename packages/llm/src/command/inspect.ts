import { inspectModel } from '../inspect/inspect-model.ts';
import type { InspectOptions } from '../inspect/report.ts';
import { weightDTypes } from '../models/weight-file.ts';
import { reportText } from './inspect-text.ts';
import { bytes, flag, oneOf, parse, text, wholeNumber } from './options/option-values.ts';
import { UsageError } from './options/usage.ts';

export interface InspectCommand {
  readonly model: string;
  readonly options: InspectOptions;
  readonly json: boolean;
}

/** @throws UsageError naming the option, what it takes and what came */
export function parseInspect(args: readonly string[]): InspectCommand {
  const values = parse(args, {
    model: text,
    dtype: text,
    'cache-dtype': text,
    context: text,
    batch: text,
    memory: text,
    json: flag,
  });
  if (!values.model) throw new UsageError('inspect needs --model MODEL: a folder, a .gguf file, a hub id or a preset');
  const options = {
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    cacheDtype: oneOf('--cache-dtype', values['cache-dtype'], ['f32', 'f16'] as const),
    length: wholeNumber('--context', values.context, 1),
    batch: wholeNumber('--batch', values.batch, 1),
    memory: bytes('--memory', values.memory),
  };
  const given = Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
  return { model: values.model, options: given, json: values.json ?? false };
}

/** `heddle inspect`: what a model costs, without loading it. */
export async function inspect({ model, options, json }: InspectCommand): Promise<number> {
  const report = await inspectModel(model, options);
  process.stdout.write(json ? `${JSON.stringify(report)}\n` : reportText(report));
  return 0;
}
