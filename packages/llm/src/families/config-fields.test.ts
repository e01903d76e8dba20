import { readdirSync, readFileSync } from 'node:fs';
import { isHeddleError } from '@heddle/tensor';
import { describe, expect, test } from 'vitest';
import { Notes } from '../config/notes.ts';
import { describeModel, families } from '../families.ts';

const checkpoints = new URL('../../../../test-support/checkpoints/', import.meta.url);
const names = readdirSync(checkpoints, { withFileTypes: true })
  .filter((entry) => entry.isDirectory() && !entry.name.endsWith('-adapters'))
  .map(({ name }) => name);
type Fields = Record<string, unknown>;
const configOf = (name: string): Fields =>
  JSON.parse(readFileSync(new URL(`${name}/config.json`, checkpoints), 'utf8'));

/** What is known of a model by its configuration; the error where it is refused. */
function known(fields: Fields): string {
  const notes = new Notes();
  try {
    const { config, tied, shapes } = describeModel({ label: 'config', text: JSON.stringify(fields) }, { notes });
    return JSON.stringify([config, tied, [...shapes], notes.all]);
  } catch (error) {
    if (!isHeddleError(error, 'ERR_CONFIG') && !isHeddleError(error, 'ERR_UNKNOWN_ARCHITECTURE')) throw error;
    return `refused: ${(error as Error).message}`;
  }
}

/** Values that a field of this one might have instead. */
function others(value: unknown): unknown[] {
  if (typeof value === 'boolean') return [!value];
  if (typeof value === 'number') return [value + 1, value * 2, value / 2, 0.25];
  if (typeof value === 'string') return [`${value}_other`, 'relu', 'yarn'];
  if (value === null) return [3, true, 'other', [2]];
  if (Array.isArray(value)) return [[...value, 1], value.slice(1), []];
  return [{ ...(value as object), other: 1 }];
}

/** Those of what a file says beside the model, or of training: nothing that is computed depends on them. */
const withoutEffect = new Set([
  ...['architectures', 'model_type', 'transformers_version', 'dtype', 'torch_dtype', 'use_cache', 'initializer_range'],
  ...['attention_dropout', 'hidden_dropout', 'embd_pdrop', 'resid_pdrop', 'attn_pdrop', 'pretraining_tp'],
  ...['output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise', 'num_nextn_predict_layers'],
  // of models that classify, and how something is computed that is the same
  ...['summary_activation', 'summary_first_dropout', 'summary_proj_to_labels', 'summary_type', 'summary_use_proj'],
  ...['reorder_and_upcast_attn', 'mamba_chunk_size'],
]);

describe('every field of every family', () => {
  test('each family has a configuration here, but the one without a checkpoint', () => {
    const seen = new Set(names.map((name) => (configOf(name)['architectures'] as string[])[0]!));
    const missing = families.map(({ architecture }) => architecture).filter((name) => !seen.has(name));
    expect(missing).toEqual(['MinistralForCausalLM']);
  });

  test.each(names)('%s: another value changes the model, is refused, or is listed as without effect', (name) => {
    const config = configOf(name);
    const usual = known(config);
    const idle: string[] = [];
    const inner = (fields: Fields, place: (changed: Fields) => Fields, path: string): void => {
      for (const [field, value] of Object.entries(fields)) {
        if (withoutEffect.has(field)) continue;
        if (value !== null && typeof value === 'object' && !Array.isArray(value))
          inner(value as Fields, (changed) => place({ ...fields, [field]: changed }), `${path}${field}.`);
        else if (others(value).every((other) => known(place({ ...fields, [field]: other })) === usual))
          idle.push(`${path}${field}`);
      }
    };
    inner(config, (changed) => changed, '');
    expect(idle).toEqual(idleFields[name] ?? []);
  });

  test.each(names)('%s: a field that nobody reads is named', (name) => {
    expect(known({ ...configOf(name), no_such_field: 3 })).toContain('no_such_field');
  });
});

const noExperts = ['moe_intermediate_size', 'num_experts', 'top_k_experts'];
/** Fields that do nothing in a checkpoint because another field counts, or what they are of is not there. */
const idleFields: Readonly<Record<string, readonly string[]>> = {
  'deepseek-v3': ['qk_head_dim'],
  gemma4: noExperts,
  'gemma4-shared': [...noExperts, 'use_double_wide_mlp'],
  glm4: ['partial_rotary_factor'],
  qwen3_5: ['partial_rotary_factor'],
  granite4: ['rope_parameters.rope_theta'],
  'granite4-experts': ['rope_parameters.rope_theta'],
  lfm2: ['full_attn_idxs'],
  ministral: ['rope_parameters.max_position_embeddings', 'rope_parameters.type'],
  qwen2: ['use_sliding_window'],
  qwen3: ['use_sliding_window'],
  'qwen3-moe': ['use_sliding_window'],
  'qwen3-next': ['partial_rotary_factor'],
  smollm3: ['use_sliding_window'],
};
