import { type DeviceName, deviceNames } from '@heddle/tensor';
import { type WeightDType, weightDTypes } from '../../models/weight-file.ts';
import { flag, number, oneOf, parse, text, wholeNumber } from './option-values.ts';
import { UsageError } from './usage.ts';

export interface ChatCommand {
  readonly model: string;
  readonly system: string | undefined;
  readonly maxTokens: number | undefined;
  readonly temperature: number | undefined;
  readonly topP: number | undefined;
  readonly topK: number | undefined;
  readonly seed: number | undefined;
  /** Tokens of reasoning; as the model does by default. */
  readonly reasoningBudget: number | undefined;
  readonly device: DeviceName;
  readonly dtype: WeightDType | undefined;
  /** A line of JSON for each answer. */
  readonly json: boolean;
}

/** @throws UsageError */
export function parseChat(args: readonly string[]): ChatCommand {
  const values = parse(args, {
    model: text,
    system: text,
    'max-tokens': text,
    temperature: text,
    'top-k': text,
    'top-p': text,
    seed: text,
    'reasoning-budget': text,
    device: text,
    dtype: text,
    json: flag,
  });
  if (!values.model)
    throw new UsageError('chat needs --model MODEL: a Hugging Face folder, a GGUF file, or owner/name of a hub');
  return {
    model: values.model,
    system: values.system,
    maxTokens: wholeNumber('--max-tokens', values['max-tokens'], 1),
    temperature: number('--temperature', values.temperature, 0),
    topK: wholeNumber('--top-k', values['top-k'], 1),
    topP: number('--top-p', values['top-p'], 0, 1),
    seed: wholeNumber('--seed', values.seed, 0),
    reasoningBudget: wholeNumber('--reasoning-budget', values['reasoning-budget'], 0),
    device: oneOf('--device', values.device, deviceNames) ?? 'auto',
    dtype: oneOf('--dtype', values.dtype, weightDTypes),
    json: values.json ?? false,
  };
}
