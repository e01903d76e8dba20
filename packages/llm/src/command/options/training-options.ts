import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import { flag, number, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

/** What both commands that train take. */
export interface TrainingCommand {
  readonly data: string;
  readonly out: string;
  readonly batch: number;
  readonly accumulate: number;
  readonly learningRate: number;
  readonly weightDecay: number;
  readonly seed: number;
  readonly checkpointing: boolean;
  readonly device: DeviceName;
  /** A file of one JSON object a step. */
  readonly log: string | undefined;
  /** A page with plots. */
  readonly report: string | undefined;
  readonly json: boolean;
}

export interface TrainCommand extends TrainingCommand {
  /** The model that is trained further; a new one without. */
  readonly model: string | undefined;
  readonly steps: number;
  readonly vocabulary: number;
  readonly width: number;
  readonly layers: number;
  readonly context: number;
}

export interface FinetuneCommand extends TrainingCommand {
  readonly model: string;
  readonly dtype: WeightDType | undefined;
  /** All weights instead of an adapter's. */
  readonly full: boolean;
  readonly rank: number;
  readonly alpha: number;
  readonly targets: readonly string[] | undefined;
  readonly dropout: number;
  /** The adapter is written into the weights. */
  readonly merge: boolean;
  readonly epochs: number;
  readonly length: number;
}

const shared = {
  data: text,
  out: text,
  model: text,
  batch: text,
  accumulate: text,
  'learning-rate': text,
  'weight-decay': text,
  seed: text,
  checkpointing: flag,
  device: text,
  log: text,
  report: text,
  json: flag,
} as const;

/** @throws UsageError naming the option, what it takes and what came */
export function parseTrain(args: readonly string[]): TrainCommand {
  const values = parse(args, { ...shared, steps: text, vocabulary: text, width: text, layers: text, context: text });
  const whole = (name: 'steps' | 'vocabulary' | 'width' | 'layers' | 'context', byDefault: number) =>
    wholeNumber(`--${name}`, values[name], 1) ?? byDefault;
  const width = whole('width', 256);
  if (width % 64 !== 0) throw new UsageError(`--width takes a multiple of 64, got '${width}'`);
  for (const name of ['vocabulary', 'width', 'layers', 'context'] as const)
    if (values.model !== undefined && values[name] !== undefined)
      throw new UsageError(`--${name} is of new models; --model has its own`);
  return {
    ...sharedOf('train', values, {
      batch: 32,
      learningRate: values.model === undefined ? 4e-3 : 3e-4,
      weightDecay: 0.1,
    }),
    model: values.model,
    steps: whole('steps', 2000),
    vocabulary: whole('vocabulary', 4096),
    width,
    layers: whole('layers', 4),
    context: whole('context', 512),
  };
}

/** @throws UsageError naming the option, what it takes and what came */
export function parseFinetune(args: readonly string[]): FinetuneCommand {
  const values = parse(args, {
    ...shared,
    dtype: text,
    full: flag,
    rank: text,
    alpha: text,
    targets: text,
    dropout: text,
    merge: flag,
    epochs: text,
    length: text,
  });
  const { full = false, model } = values;
  if (!model) throw new UsageError('finetune needs --model MODEL, what is trained further');
  for (const name of ['rank', 'alpha', 'targets', 'dropout', 'merge'] as const)
    if (full && values[name] !== undefined) throw new UsageError(`--full trains all weights, --${name} is of adapters`);
  const dtype = oneOf('--dtype', values.dtype, weightDTypes);
  const inBlocks = dtype !== undefined && dtype !== 'f32' && dtype !== 'f16';
  if (inBlocks && (full || values.merge))
    throw new UsageError(`${full ? '--full' : '--merge'} takes weights of f32 or f16, got --dtype ${dtype}`);
  const targets = values.targets?.split(',').map((name) => name.trim());
  if (targets?.some((name) => name === ''))
    throw new UsageError(`--targets takes names separated by commas, got '${values.targets}'`);
  const rank = wholeNumber('--rank', values.rank, 1) ?? 8;
  const alpha = number('--alpha', values.alpha, 0) ?? 2 * rank;
  const dropout = number('--dropout', values.dropout, 0, 1) ?? 0;
  if (dropout === 1) throw new UsageError(`--dropout takes a number below 1, got '${values.dropout}'`);
  return {
    ...sharedOf('finetune', values, { batch: 4, learningRate: full ? 2e-5 : 2e-4, weightDecay: 0 }),
    model,
    dtype,
    full,
    rank,
    alpha,
    targets,
    dropout,
    merge: values.merge ?? false,
    epochs: wholeNumber('--epochs', values.epochs, 1) ?? 1,
    length: wholeNumber('--length', values.length, 2) ?? 512,
  };
}

interface Defaults {
  readonly batch: number;
  readonly learningRate: number;
  readonly weightDecay: number;
}

function sharedOf(
  command: string,
  values: { readonly [N in keyof typeof shared]?: string | boolean },
  defaults: Defaults,
): TrainingCommand {
  const { data, out, log, report } = values as Record<string, string | undefined>;
  if (!data) throw new UsageError(`${command} needs --data PATH, what is learned`);
  if (!out) throw new UsageError(`${command} needs --out FOLDER, where the result is written`);
  const value = (name: keyof typeof shared) => values[name] as string | undefined;
  return {
    data,
    out,
    batch: wholeNumber('--batch', value('batch'), 1) ?? defaults.batch,
    accumulate: wholeNumber('--accumulate', value('accumulate'), 1) ?? 1,
    learningRate: number('--learning-rate', value('learning-rate'), 0) ?? defaults.learningRate,
    weightDecay: number('--weight-decay', value('weight-decay'), 0) ?? defaults.weightDecay,
    seed: wholeNumber('--seed', value('seed'), 0) ?? 1,
    checkpointing: values.checkpointing === true,
    device: oneOf('--device', value('device'), deviceNames) ?? 'auto',
    log,
    report,
    json: values.json === true,
  };
}
