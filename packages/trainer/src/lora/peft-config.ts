import { TrainingError } from '../errors.ts';
import type { LoraOptions } from './options.ts';

/** What of `adapter_config.json` says how factors are used. */
export interface PeftConfig {
  readonly options: LoraOptions;
  /** alpha of modules whose names end so, where it is another. */
  readonly alphaPattern: Readonly<Record<string, number>>;
}

/** Settings of PEFT under which factors mean something else: whatever is not in this state is refused. */
const mustBe: Readonly<Record<string, readonly unknown[]>> = {
  use_dora: [false, null],
  use_qalora: [false, null],
  use_bdlora: [false, null],
  fan_in_fan_out: [false, null],
  lora_bias: [true, false, null],
  bias: ['none', null],
  modules_to_save: [null],
  target_parameters: [null],
  trainable_token_indices: [null],
  layer_replication: [null],
  alora_invocation_tokens: [null],
};

/** @throws TrainingError `ERR_ADAPTER` for what is no LoRA configuration, or one that this does not compute */
export function parsePeftConfig(label: string, text: string): PeftConfig {
  const wrong = (what: string) => new TrainingError('ERR_ADAPTER', `lora: ${label}: ${what}`);
  let config: Record<string, unknown>;
  try {
    config = JSON.parse(text) as Record<string, unknown>;
  } catch (cause) {
    throw wrong(`is no JSON: ${cause instanceof Error ? cause.message : ''}`);
  }
  if (typeof config !== 'object' || config === null || Array.isArray(config)) throw wrong('must be an object');
  if (config['peft_type'] !== 'LORA') throw wrong(`peft_type must be LORA, got ${JSON.stringify(config['peft_type'])}`);
  for (const [key, allowed] of Object.entries(mustBe)) {
    const value = config[key];
    const empty = Array.isArray(value) && value.length === 0;
    if (value !== undefined && !empty && !allowed.includes(value))
      throw wrong(`${key} ${JSON.stringify(value)} is not supported`);
  }
  const number = (key: string, least: number, byDefault?: number) => {
    const value = config[key] ?? byDefault;
    if (typeof value !== 'number' || !(value >= least && Number.isFinite(value)))
      throw wrong(`${key} must be a number from ${least}, got ${JSON.stringify(value)}`);
    return value;
  };
  const targets = config['target_modules'];
  const isList = Array.isArray(targets) && targets.every((target) => typeof target === 'string');
  if (!isList && typeof targets !== 'string')
    throw wrong(`target_modules must be a list of names, got ${JSON.stringify(targets)}`);
  const alphaPattern = (config['alpha_pattern'] ?? {}) as Record<string, number>;
  if (typeof alphaPattern !== 'object' || Object.values(alphaPattern).some((value) => typeof value !== 'number'))
    throw wrong('alpha_pattern must give numbers by name');
  return {
    options: {
      rank: number('r', 1),
      alpha: number('lora_alpha', 0),
      rankStabilized: config['use_rslora'] === true,
      dropout: number('lora_dropout', 0, 0),
      // a string is an expression; which layers have factors is what the file of factors says
      targets: isList ? (targets as string[]) : () => true,
    },
    alphaPattern,
  };
}

/** `adapter_config.json` as PEFT reads it. */
export function peftConfigText(
  options: LoraOptions,
  modules: readonly string[],
  baseModel: string | undefined,
  hasBiases: boolean,
): string {
  const { rank, alpha = rank, rankStabilized = false, dropout = 0, targets } = options;
  const config = {
    base_model_name_or_path: baseModel ?? null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    init_lora_weights: true,
    lora_alpha: alpha,
    lora_bias: hasBiases,
    lora_dropout: dropout,
    modules_to_save: null,
    peft_type: 'LORA',
    r: rank,
    target_modules: typeof targets === 'function' ? modules : targets,
    task_type: 'CAUSAL_LM',
    use_dora: false,
    use_rslora: rankStabilized,
  };
  return `${JSON.stringify(config, null, 2)}\n`;
}
