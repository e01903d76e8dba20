import { readFileSync } from 'node:fs';
import { isHeddleError } from '@heddle/tensor';
import { describe, expect, test } from 'vitest';
import { Notes } from '../config/notes.ts';
import { describeModel, families } from '../families.ts';
import type { AttentionLayout, DecoderLayout } from '../models/decoder/layout.ts';

type Fields = Record<string, unknown>;

const sizes: Fields = {
  vocab_size: 32,
  hidden_size: 16,
  intermediate_size: 24,
  num_hidden_layers: 8,
  num_attention_heads: 4,
  num_key_value_heads: 2,
};

function described(architecture: string, fields: Fields): { layout: DecoderLayout; notes: readonly string[] } {
  const notes = new Notes();
  const tokens = { bos_token_id: 1, eos_token_id: 2 };
  const text = JSON.stringify({ architectures: [architecture], ...sizes, ...tokens, ...fields });
  const { config } = describeModel({ label: 'config.json', text }, { notes });
  return { layout: config.layout, notes: notes.all };
}

const attentions = (architecture: string, fields: Fields = {}): AttentionLayout[] =>
  described(architecture, fields).layout.layers.map(({ mixer }) => mixer.part as AttentionLayout);
const windows = (architecture: string, fields: Fields = {}) =>
  attentions(architecture, fields).map(({ window }) => window ?? 0);

test('the README lists every family', () => {
  const readme = readFileSync(new URL('../../README.md', import.meta.url), 'utf8');
  const [, section] = readme.split('## Families\n');
  const [, ...rows] = section!.split('\n## ')[0]!.matchAll(/^\| [^|]+ \| `(\w+)` \|/gm);
  expect(rows.map(([, architecture]) => architecture)).toEqual(families.map(({ architecture }) => architecture));
});

describe('which layers have a window', () => {
  const cases: [string, Fields, number[]][] = [
    ['MistralForCausalLM', {}, Array(8).fill(4096)],
    ['MistralForCausalLM', { sliding_window: null }, Array(8).fill(0)],
    ['MinistralForCausalLM', { sliding_window: 7 }, Array(8).fill(7)],
    ['Qwen2ForCausalLM', { sliding_window: 7, max_window_layers: 2 }, Array(8).fill(0)],
    [
      'Qwen2ForCausalLM',
      { use_sliding_window: true, sliding_window: 7, max_window_layers: 6 },
      [0, 0, 0, 0, 0, 0, 7, 7],
    ],
    ['Gemma2ForCausalLM', { sliding_window: 7 }, [7, 0, 7, 0, 7, 0, 7, 0]],
    ['Gemma3ForCausalLM', { sliding_window: 7 }, [7, 7, 7, 7, 7, 0, 7, 7]],
    ['Gemma3ForCausalLM', { sliding_window: 7, sliding_window_pattern: 3 }, [7, 7, 0, 7, 7, 0, 7, 7]],
    ['Gemma3ForCausalLM', { sliding_window: 7, _sliding_window_pattern: 2 }, [7, 0, 7, 0, 7, 0, 7, 0]],
    ['Olmo3ForCausalLM', { sliding_window: 7 }, [7, 7, 7, 0, 7, 7, 7, 0]],
    ['SmolLM3ForCausalLM', { sliding_window: 7 }, Array(8).fill(0)],
    ['SmolLM3ForCausalLM', { use_sliding_window: true, sliding_window: 7 }, [0, 0, 0, 7, 0, 0, 0, 7]],
    ['Phi3ForCausalLM', { sliding_window: 7 }, Array(8).fill(7)],
    ['Cohere2ForCausalLM', { sliding_window: 7 }, [7, 7, 7, 0, 7, 7, 7, 0]],
    ['Cohere2ForCausalLM', { sliding_window: 7, sliding_window_pattern: 2 }, [7, 0, 7, 0, 7, 0, 7, 0]],
  ];
  test.each(cases)('%s %j', (architecture, fields, expected) => {
    expect(windows(architecture, fields)).toEqual(expected);
    expect(described(architecture, fields).notes).toEqual([]);
  });

  test('layer_types counts before patterns, in every family that has it', () => {
    const types = Array.from({ length: 8 }, (_, i) => (i === 5 ? 'sliding_attention' : 'full_attention'));
    for (const name of ['Ministral', 'Qwen2', 'Qwen3', 'Gemma2', 'Gemma3', 'Olmo3', 'SmolLM3'])
      expect(
        windows(`${name}ForCausalLM`, { use_sliding_window: true, sliding_window: 7, layer_types: types }),
        name,
      ).toEqual([0, 0, 0, 0, 0, 7, 0, 0]);
  });
});

describe('factors and caps that a configuration does not name are those of transformers', () => {
  const cases: [string, head: object, score: object][] = [
    ['Cohere2ForCausalLM', { divisor: 16 }, {}],
    ['Gemma2ForCausalLM', { softcap: 30 }, { softcap: 50, scale: 1 / 16 }],
    ['Gemma3ForCausalLM', {}, { scale: 1 / 16 }],
    ['GraniteForCausalLM', { divisor: 1 }, { scale: 1 }],
    ['LlamaForCausalLM', {}, {}],
  ];
  test.each(cases)('%s', (architecture, expectedHead, expectedScore) => {
    const { head, layers } = described(architecture, {}).layout;
    const { site: _, ...factors } = head;
    expect(factors).toEqual(expectedHead);
    for (const { mixer } of layers) {
      const { softcap, scale } = mixer.part as AttentionLayout;
      expect(JSON.parse(JSON.stringify({ softcap, scale }))).toEqual(expectedScore);
    }
  });
});

describe('both generations of rotary fields are one', () => {
  const thetas = (layers: readonly AttentionLayout[]) => layers.map(({ rotary }) => [rotary?.theta, rotary?.scaling]);
  const linear = { rope_type: 'linear', factor: 8 };
  const cases: [string, Fields, Fields][] = [
    [
      'Gemma3ForCausalLM',
      { rope_theta: 5e5, rope_local_base_freq: 7, rope_scaling: linear },
      {
        rope_parameters: {
          full_attention: { rope_theta: 5e5, ...linear },
          sliding_attention: { rope_theta: 7, rope_type: 'default' },
        },
      },
    ],
    [
      'Gemma3ForCausalLM',
      {},
      {
        rope_parameters: {
          full_attention: { rope_theta: 1e6, rope_type: 'default' },
          sliding_attention: { rope_theta: 1e4, rope_type: 'default' },
        },
      },
    ],
    [
      'Olmo3ForCausalLM',
      { rope_theta: 5e5, rope_scaling: linear },
      {
        rope_parameters: {
          full_attention: { rope_theta: 5e5, ...linear },
          sliding_attention: { rope_theta: 5e5, rope_type: 'default' },
        },
      },
    ],
    ['SmolLM3ForCausalLM', {}, { rope_parameters: { rope_theta: 2e6, rope_type: 'default' } }],
    ['Qwen2ForCausalLM', { rope_theta: 1e6 }, { rope_parameters: { rope_theta: 1e6, rope_type: 'default' } }],
  ];
  test.each(cases)('%s %j', (architecture, older, newer) => {
    expect(thetas(attentions(architecture, older))).toEqual(thetas(attentions(architecture, newer)));
    expect(described(architecture, older).notes).toEqual([]);
    expect(described(architecture, newer).notes).toEqual([]);
  });

  test('older names of longrope, and parts of heads', () => {
    const scaling = { short_factor: [1], long_factor: [2] };
    for (const type of ['su', 'yarn', 'longrope'])
      expect(
        attentions('Phi3ForCausalLM', { rope_scaling: { type, ...scaling }, partial_rotary_factor: 0.5 })[0]!.rotary,
      ).toMatchObject({ dim: 2, scaling: { kind: 'longrope', shortFactors: [1], longFactors: [2] } });
  });

  test('layers of SmolLM3 that are not rotated', () => {
    const rotated = (fields: Fields) => attentions('SmolLM3ForCausalLM', fields).map(({ rotary }) => Number(!!rotary));
    expect(rotated({})).toEqual([1, 1, 1, 0, 1, 1, 1, 0]);
    expect(rotated({ no_rope_layer_interval: 2 })).toEqual([1, 0, 1, 0, 1, 0, 1, 0]);
    expect(rotated({ no_rope_layers: [0, 1, 1, 1, 1, 1, 1, 1] })).toEqual([0, 1, 1, 1, 1, 1, 1, 1]);
  });
});

test('defaults of families where the file is silent', () => {
  const [gemma] = attentions('Gemma2ForCausalLM');
  expect(gemma).toMatchObject({ headDim: 256, scale: 1 / 16, softcap: 50 });
  expect(described('Gemma2ForCausalLM', {}).layout.head.softcap).toBe(30);
  expect(described('Gemma2ForCausalLM', { final_logit_softcapping: null }).layout.head.softcap).toBeUndefined();
  expect(attentions('Qwen3ForCausalLM')[0]!.headDim).toBe(128);
  expect(attentions('Qwen3ForCausalLM', { head_dim: null })[0]!.headDim).toBe(4);
  expect(attentions('GraniteForCausalLM')[0]!.scale).toBe(1);
  const gpt2 = { n_embd: 16, n_layer: 2, n_head: 2 };
  const { layers, embedding } = described('GPT2LMHeadModel', gpt2).layout;
  expect(embedding.positions?.size).toBe(1024);
  expect(layers[1]).toMatchObject({ feedForward: { part: { activation: 'gelu-tanh', up: { outSize: 64 } } } });
  const byLayer = { ...gpt2, scale_attn_by_inverse_layer_idx: true, scale_attn_weights: false };
  expect(attentions('GPT2LMHeadModel', byLayer).map(({ scale }) => scale)).toEqual([1, 0.5]);
});

describe('what is not computed is refused', () => {
  const cases: [string, Fields, RegExp][] = [
    ['Gemma2ForCausalLM', { use_bidirectional_attention: true }, /use_bidirectional_attention: expected false: only/],
    ['Gemma3ForCausalLM', { layer_types: ['sliding_attention'] }, /layer_types: expected a list of 8, each full_att/],
    ['Qwen2ForCausalLM', { layer_types: Array(8).fill('chunked_attention') }, /layer_types: expected a list of 8/],
    ['Olmo2ForCausalLM', { hidden_act: 'tanh' }, /hidden_act: expected one of silu, .*got "tanh"/],
    ['SmolLM3ForCausalLM', { no_rope_layers: [2] }, /no_rope_layers: expected a list of 8, each 0 or 1/],
    ['Gemma2ForCausalLM', { query_pre_attn_scalar: 0 }, /query_pre_attn_scalar: expected a number above 0, got 0/],
    ['GPT2LMHeadModel', { n_embd: 16, n_layer: 2, n_head: 3 }, /n_embd: expected a multiple of n_head 3/],
    ['GPT2LMHeadModel', { n_embd: 16, n_layer: 2, n_head: 2, n_ctx: 7 }, /n_ctx: expected 1024: as many as/],
    ['LlamaForCausalLM', { is_encoder_decoder: true }, /is_encoder_decoder: expected false: models with an encoder/],
  ];
  test.each(cases)('%s %j', (architecture, fields, message) => {
    let error: unknown;
    try {
      described(architecture, fields);
    } catch (thrown) {
      error = thrown;
    }
    expect(isHeddleError(error, 'ERR_CONFIG'), String(error)).toBe(true);
    expect((error as Error).message).toMatch(message);
  });
});

test('fields that nobody reads are named, those of inner objects too', () => {
  const fields = { qk_norm: true, rope_parameters: { rope_type: 'default', rope_theta: 1, spiral: 2 } };
  expect(described('Qwen3ForCausalLM', fields).notes).toEqual([
    'config.json: fields that a qwen3 does not have are not used: qk_norm, rope_parameters.spiral',
  ]);
});
