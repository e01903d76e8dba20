import { existsSync, readFileSync } from 'node:fs';
import { isHeddleError } from '@heddle/tensor';
import { describe, expect, test } from 'vitest';
import { Notes } from './config/notes.ts';
import type { TokenizerTokens } from './config/special-tokens.ts';
import type { ModelConfig } from './config.ts';
import { describeModel } from './families.ts';
import type { AttentionLayout } from './models/decoder/layout.ts';

type Fields = Record<string, unknown>;

const small: Fields = {
  architectures: ['LlamaForCausalLM'],
  vocab_size: 320,
  hidden_size: 64,
  intermediate_size: 160,
  num_hidden_layers: 2,
  num_attention_heads: 4,
};

const silent = {
  temperature: undefined,
  topK: undefined,
  topP: undefined,
  minP: undefined,
  typicalP: undefined,
  epsilonCutoff: undefined,
  etaCutoff: undefined,
  repetitionPenalty: undefined,
  noRepeatNgramSize: undefined,
  maxNewTokens: undefined,
  maxLength: undefined,
};

const file = (label: string, fields: Fields) => ({ label, text: JSON.stringify(fields) });

/** A configuration with the sizes of its first layer beside the others. */
function parse(config: Fields, generation?: Fields) {
  return flat(
    describeModel(file('config.json', config), {
      generation: generation && file('generation_config.json', generation),
    }).config,
  );
}

function flat({ layout, ...config }: ModelConfig) {
  const { mixer, feedForward } = layout.layers[0]!;
  const { heads, keyValueHeads, headDim, rotary, output } = mixer.part as AttentionLayout;
  const { activation, down } = feedForward.part;
  return {
    ...config,
    heads,
    keyValueHeads,
    headDim,
    rotary: rotary!,
    intermediateSize: down.inSize,
    normEpsilon: layout.finalNorm.epsilon,
    activation,
    attentionBias: output.bias,
    mlpBias: down.bias,
  };
}

/** The same configuration with the rotary fields that transformers wrote before version 5. */
function older(config: Fields, typeField: 'type' | 'rope_type'): Fields {
  const { rope_parameters: parameters, ...rest } = config;
  const { rope_theta, rope_type, ...scaling } = parameters as Fields;
  return { ...rest, rope_theta, rope_scaling: rope_type === 'default' ? null : { [typeField]: rope_type, ...scaling } };
}

/** The same with the fields of version 5. */
function newer(config: Fields): Fields {
  const { rope_theta, rope_scaling, ...rest } = config;
  const { type, ...scaling } = (rope_scaling ?? {}) as Fields;
  return { ...rest, rope_parameters: { rope_type: type ?? 'default', rope_theta, ...scaling } };
}

test('what a small configuration leaves out has the defaults of transformers', () => {
  expect(parse(small)).toEqual({
    architecture: 'llama',
    vocabularySize: 320,
    hiddenSize: 64,
    intermediateSize: 160,
    layers: 2,
    heads: 4,
    keyValueHeads: 4,
    headDim: 16,
    maxPositions: 2048,
    normEpsilon: 1e-6,
    activation: 'silu',
    rotary: { theta: 10000, dim: 16, scaling: { kind: 'default' } },
    tieWordEmbeddings: false,
    attentionBias: 'open',
    mlpBias: 'open',
    bosTokenId: 1,
    eosTokenIds: [2],
    padTokenId: undefined,
    generation: { ...silent, sample: false },
  });
});

test('null counts as absent', () => {
  const nothing = {
    num_key_value_heads: null,
    head_dim: null,
    rope_scaling: null,
    pad_token_id: null,
  };
  expect(parse({ ...small, ...nothing })).toEqual(parse(small));
});

test('a head may be wider than its share of the model, which then need not be a multiple', () => {
  expect(parse({ ...small, head_dim: 32 })).toMatchObject({ headDim: 32, rotary: { dim: 32 } });
  expect(parse({ ...small, hidden_size: 70, head_dim: 16 })).toMatchObject({ hiddenSize: 70, headDim: 16 });
});

test('the model type counts where no architecture is listed; swish is silu', () => {
  const { architectures: _, ...rest } = small;
  expect(parse({ ...rest, model_type: 'llama', hidden_act: 'swish' })).toEqual(parse(small));
});

describe('special tokens and generation defaults', () => {
  const described = (config: Fields, generation?: Fields, tokenizer?: TokenizerTokens) => {
    const notes = new Notes();
    const described = describeModel(file('config.json', config), {
      generation: generation && file('generation_config.json', generation),
      tokenizer,
      notes,
    });
    return { config: described.config, notes };
  };

  test('null is none; where the file is silent the tokenizer knows, then the family', () => {
    const none = described({ ...small, eos_token_id: null, bos_token_id: null }, undefined, {
      bosTokenId: 5,
      eosTokenId: 6,
    });
    expect(none.config).toMatchObject({ bosTokenId: undefined, eosTokenIds: [] });
    expect(none.notes.all).toEqual([]);
    expect(described(small, undefined, { bosTokenId: 5, eosTokenId: 6 }).config).toMatchObject({
      bosTokenId: 5,
      eosTokenIds: [6],
    });
    const silent = described(small);
    expect(silent.config).toMatchObject({ bosTokenId: 1, eosTokenIds: [2] });
    expect(silent.notes.all[1]).toBe(
      'config.json: eos_token_id is not there; 2 is taken, from the default of its family',
    );
    expect(described({ ...small, vocab_size: 2 }).config).toMatchObject({ bosTokenId: 1, eosTokenIds: [] });
    expect(described({ ...small, eos_token_id: 3 }, undefined, { bosTokenId: 1, eosTokenId: 6 }).notes.all[1]).toMatch(
      /ends a text with token 6, the configuration with 3, which counts/,
    );
  });

  const odd: [Fields, object, string][] = [
    [
      { top_k: -1 },
      { generation: { ...silent, sample: false } },
      'top_k is left out: expected an integer of at least 0, got -1',
    ],
    [
      { top_p: 1.5 },
      { generation: { ...silent, sample: false } },
      'top_p is left out: expected a number from 0 to 1, got 1.5',
    ],
    [{ temperature: 'warm' }, {}, 'temperature is left out: expected a number of at least 0, got "warm"'],
    [{ do_sample: 1 }, {}, 'do_sample is left out: expected true or false, got 1'],
    [
      { eos_token_id: [2, null] },
      { eosTokenIds: [2] },
      'eos_token_id: expected a token id or a list of token ids, got [2,null]; 2 is taken',
    ],
    [
      { eos_token_id: 'x' },
      { eosTokenIds: [] },
      'eos_token_id: expected a token id or a list of token ids, got "x"; it is left out',
    ],
    [{ typical_p: 0 }, {}, 'typical_p is left out: expected a number above 0, at most 1, got 0'],
    [{ top_h: 0.4 }, {}, 'top_h 0.4 is not applied'],
    [{ bad_words_ids: [[3]] }, {}, 'bad_words_ids a list of 1 is not applied'],
  ];
  test.each(odd)('%j is said and does not make the model unloadable', (generation, expected, message) => {
    const { config, notes } = described({ ...small, bos_token_id: 1, eos_token_id: 2 }, generation);
    expect(config).toMatchObject(expected);
    expect(notes.deviations).toEqual([`generation_config.json: ${message}`]);
    expect(notes.all).toEqual(notes.deviations);
  });

  test('lengths; what transformers would take in place of silence', () => {
    expect(parse(small, { max_length: 4096 }).generation).toEqual({ ...silent, sample: false, maxLength: 4096 });
    const { notes } = described({ ...small, bos_token_id: 1, eos_token_id: 2 }, { do_sample: true, top_p: 0.9 });
    expect(notes.all).toEqual([
      expect.stringMatching(/without top_k all tokens are drawn from; transformers takes the 50/),
    ]);
    expect(notes.deviations).toEqual(notes.all);
  });

  test('fields that are not known are said; those without effect are not worth a word', () => {
    const fields = {
      torch_dtype: 'bfloat16',
      use_cache: true,
      _name_or_path: 'x',
      attention_dropout: 0.1,
      sliding_window: null,
    };
    const { notes } = described({
      ...small,
      ...fields,
      bos_token_id: 1,
      eos_token_id: 2,
      sliding_window_size: 7,
      qk_norm: true,
    });
    expect(notes.all).toEqual([
      'config.json: fields that a llama does not have are not used: sliding_window_size, qk_norm',
    ]);
  });

  test('a list with one padding token is that token; values that change nothing are not worth a word', () => {
    const neutral = {
      pad_token_id: [0],
      typical_p: 1.0,
      num_beams: 1,
      length_penalty: 1.0,
      bad_words_ids: null,
      suppress_tokens: [],
    };
    const { config, notes } = described({ ...small, bos_token_id: 1, eos_token_id: 2 }, neutral);
    expect(config.padTokenId).toBe(0);
    expect(notes.all).toEqual([]);
  });

  test('one or several end tokens', () => {
    expect(parse({ ...small, eos_token_id: 2 }).eosTokenIds).toEqual([2]);
    expect(parse({ ...small, eos_token_id: [128001, 128009] }).eosTokenIds).toEqual([128001, 128009]);
  });

  test('generation_config.json counts before config.json', () => {
    const config = { ...small, bos_token_id: 1, eos_token_id: 2, pad_token_id: 0 };
    expect(parse(config, {})).toMatchObject({ bosTokenId: 1, eosTokenIds: [2], padTokenId: 0 });
    const generation = { bos_token_id: 5, eos_token_id: [6, 7], pad_token_id: 8 };
    expect(parse(config, generation)).toMatchObject({ bosTokenId: 5, eosTokenIds: [6, 7], padTokenId: 8 });
    expect(parse({ ...config, pad_token_id: -1 }).padTokenId).toBeUndefined();
  });

  test('sampling', () => {
    const sampling = { do_sample: true, temperature: 0.6, top_k: 50, top_p: 0.9 };
    expect(parse(small, sampling).generation).toEqual({
      ...silent,
      sample: true,
      temperature: 0.6,
      topK: 50,
      topP: 0.9,
    });
    const more = { repetition_penalty: 1.1, no_repeat_ngram_size: 3, min_p: 0.05, max_new_tokens: 7 };
    expect(parse(small, more).generation).toEqual({
      ...silent,
      sample: false,
      repetitionPenalty: 1.1,
      noRepeatNgramSize: 3,
      minP: 0.05,
      maxNewTokens: 7,
    });
    expect(parse(small, { repetition_penalty: 1.0, no_repeat_ngram_size: 0, min_p: 0 }).generation).toEqual({
      ...silent,
      sample: false,
    });
    const cuts = { typical_p: 0.9, epsilon_cutoff: 0.01, eta_cutoff: 0.02 };
    expect(parse(small, cuts).generation).toMatchObject({ typicalP: 0.9, epsilonCutoff: 0.01, etaCutoff: 0.02 });
    expect(parse(small, { epsilon_cutoff: 0, eta_cutoff: 0.0 }).generation).toEqual({ ...silent, sample: false });
    expect(parse(small, { top_k: 0, top_p: 1 }).generation).toMatchObject({ topK: undefined, topP: undefined });
  });
});

describe('rotary fields', () => {
  const scaled = (rope_scaling: Fields, more: Fields = {}) => ({
    ...small,
    max_position_embeddings: 256,
    rope_theta: 500000,
    rope_scaling,
    ...more,
  });
  const eight = Array.from({ length: 8 }, (_, i) => 1 + i);
  const cases: [string, Fields, Fields][] = [
    ['default', {}, { kind: 'default' }],
    ['linear', { factor: 2 }, { kind: 'linear', factor: 2 }],
    ['dynamic', { factor: 2 }, { kind: 'dynamic', factor: 2, maxPositions: 256 }],
    [
      'llama3',
      { factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 },
      { kind: 'llama3', factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaxPositions: 64 },
    ],
    [
      'yarn',
      { factor: 4, original_max_position_embeddings: 64, beta_fast: 0 },
      { kind: 'yarn', factor: 4, originalMaxPositions: 64, betaFast: 32, betaSlow: 1, truncate: true },
    ],
    [
      'yarn',
      {
        original_max_position_embeddings: 64,
        attention_factor: 1.5,
        mscale: 1,
        mscale_all_dim: 0.5,
        beta_slow: 2,
        truncate: false,
      },
      {
        kind: 'yarn',
        factor: 4,
        originalMaxPositions: 64,
        attentionFactor: 1.5,
        mscale: 1,
        mscaleAllDim: 0.5,
        betaFast: 32,
        betaSlow: 2,
        truncate: false,
      },
    ],
    [
      'longrope',
      { short_factor: eight, long_factor: eight, original_max_position_embeddings: 64 },
      { kind: 'longrope', factor: 4, shortFactors: eight, longFactors: eight, originalMaxPositions: 64 },
    ],
  ];
  test.each(cases)('%s %j', (kind, fields, scaling) => {
    const expected = { theta: 500000, dim: 16, scaling };
    for (const config of [scaled({ type: kind, ...fields }), scaled({ rope_type: kind, ...fields })]) {
      expect(parse(config).rotary).toEqual(expected);
      expect(parse(newer(config)).rotary).toEqual(expected);
    }
  });

  test('the length of the pretraining may stand outside, where it counts first, or follow from the model', () => {
    const yarn = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 };
    const scaling = (config: Fields) => parse(config).rotary.scaling;
    expect(scaling(scaled(yarn, { original_max_position_embeddings: 32 }))).toMatchObject({ originalMaxPositions: 32 });
    const { original_max_position_embeddings: _, ...without } = yarn;
    expect(scaling(scaled(without))).toMatchObject({ originalMaxPositions: 256 });
  });

  test('rope_scaling counts before rope_parameters, the inner base before the outer', () => {
    const both = scaled({ type: 'linear', factor: 3 }, { rope_parameters: { rope_type: 'linear', factor: 2 } });
    expect(parse(both).rotary).toEqual({ theta: 500000, dim: 16, scaling: { kind: 'linear', factor: 3 } });
    expect(parse({ ...small, rope_theta: 5, rope_parameters: { rope_theta: 7 } }).rotary.theta).toBe(7);
  });
});

describe('what does not fit is refused with file, field, what was expected and what came', () => {
  const rope = (rope_scaling: unknown) => ({ rope_scaling });
  const llama3 = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4 };
  const cases: [Fields, string][] = [
    [{ vocab_size: undefined }, 'config.json: vocab_size: expected an integer of at least 1, got nothing'],
    [{ vocab_size: '320' }, 'config.json: vocab_size: expected an integer of at least 1, got "320"'],
    [{ hidden_size: 64.5 }, 'config.json: hidden_size: expected an integer of at least 1, got 64.5'],
    [
      { hidden_size: 66 },
      'hidden_size: expected a multiple of num_attention_heads 4 where there is no head_dim, got 66',
    ],
    [{ intermediate_size: 0 }, 'intermediate_size: expected an integer of at least 1, got 0'],
    [
      { max_position_embeddings: 1e12 },
      'max_position_embeddings: expected an integer from 1 to 16777216, got 1000000000000',
    ],
    [{ num_hidden_layers: -2 }, 'num_hidden_layers: expected an integer from 1 to 10000, got -2'],
    [{ num_attention_heads: [4] }, 'num_attention_heads: expected an integer of at least 1, got a list of 1'],
    [{ num_key_value_heads: 3 }, 'num_key_value_heads: expected a divisor of num_attention_heads 4, got 3'],
    [{ head_dim: 15 }, 'head_dim: expected an even integer, for it is rotated in pairs, got 15'],
    [{ max_position_embeddings: 1e300 }, 'max_position_embeddings: expected an integer from 1 to 16777216, got 1e+300'],
    [{ rms_norm_eps: 'tiny' }, 'rms_norm_eps: expected a number of at least 0, got "tiny"'],
    [{ hidden_act: 'quick_gelu' }, 'hidden_act: expected one of silu, swish, gelu,'],
    [{ tie_word_embeddings: 1 }, 'tie_word_embeddings: expected true or false, got 1'],
    [{ attention_bias: 'no' }, 'attention_bias: expected true or false, got "no"'],
    [{ mlp_bias: {} }, 'mlp_bias: expected true or false, got an object'],
    [{ quantization_config: {} }, 'quantization_config: expected none: such weights cannot be read, got an object'],
    [{ rope_theta: 0 }, 'rope_theta: expected a number above 0, got 0'],
    [rope([]), 'rope_scaling: expected an object, got a list of 0'],
    [
      rope({ type: 'spiral' }),
      'rope_scaling.type: expected one of default, linear, dynamic, llama3, yarn, longrope, proportional, got "spiral"',
    ],
    [rope({ rope_type: 'toString' }), 'rope_scaling.rope_type: expected one of'],
    [rope({ type: 'linear' }), 'rope_scaling.factor: expected a number above 0, got nothing'],
    [rope({ type: 'linear', factor: '2' }), 'rope_scaling.factor: expected a number above 0, got "2"'],
    [rope({ ...llama3, high_freq_factor: 1 }), 'rope_scaling.high_freq_factor: expected a number above 1, got 1'],
    [
      rope({ type: 'longrope', factor: 4, short_factor: [1], long_factor: [1] }),
      'rope_scaling.short_factor: expected a list of 8 numbers, got a list of 1',
    ],
    [
      rope({ type: 'longrope', factor: 4, short_factor: [0] }),
      'rope_scaling.short_factor: expected a list of positive numbers',
    ],
    [
      { rope_parameters: { partial_rotary_factor: 0.5 } },
      'partial_rotary_factor: expected 1: models of this family rotate whole heads, got 0.5',
    ],
    [{ rope_parameters: { partial_rotary_factor: 2 } }, 'rope_parameters.partial_rotary_factor: expected a share'],
    [{ rope_parameters: { full_attention: {}, rope_type: 3 } }, 'rope_parameters.rope_type: expected a string, got 3'],
    [
      { head_dim: 2, ...rope({ type: 'dynamic', factor: 2 }) },
      'rope_scaling.type: expected a kind that can rotate 2 components',
    ],
  ];
  test.each(cases)('%j', (fields, message) => {
    let error: unknown;
    try {
      parse({ ...small, ...fields });
    } catch (thrown) {
      error = thrown;
    }
    expect(isHeddleError(error, 'ERR_CONFIG'), String(error)).toBe(true);
    expect((error as Error).message).toContain(message);
  });

  test('text that is not JSON, or not an object', () => {
    const config = (text: string) => () => describeModel({ label: 'config.json', text });
    expect(config('{')).toThrow(expect.objectContaining({ code: 'ERR_CONFIG' }));
    expect(config('{')).toThrow('config.json: expected JSON: ');
    expect(config('[]')).toThrow('config.json: expected a JSON object, got a list of 0');
  });

  test('an unknown architecture, with those that are known', () => {
    const unknown: Fields[] = [
      { ...small, architectures: ['NovelForCausalLM'] },
      { ...small, architectures: ['LlamaForSequenceClassification'], model_type: 'llama' },
      { model_type: 'novel' },
      { architectures: ['constructor'] },
      {},
    ];
    for (const config of unknown) {
      expect(() => parse(config)).toThrow(expect.objectContaining({ code: 'ERR_UNKNOWN_ARCHITECTURE' }));
    }
    expect(() => parse(unknown[0]!)).toThrow(
      'config.json: unknown architecture: expected one of LlamaForCausalLM, MistralForCausalLM, ',
    );
    expect(() => parse({})).toThrow('got neither architectures nor model_type');
  });
});

const shared = '../shared';
describe.skipIf(!existsSync(shared))(`the configurations of real folders (need ${shared})`, () => {
  const read = (path: string): Fields => JSON.parse(readFileSync(`${shared}/${path}`, 'utf8'));
  const folders: [string, Fields][] = [
    [
      'fixtures/models/llama-mha',
      { keyValueHeads: 4, tieWordEmbeddings: true, rotary: { scaling: { kind: 'default' } } },
    ],
    ['fixtures/models/llama-mqa', { keyValueHeads: 1, tieWordEmbeddings: false, rotary: { theta: 10000 } }],
    [
      'fixtures/models/llama3-rope-scaled',
      {
        rotary: {
          theta: 500000,
          dim: 16,
          scaling: {
            kind: 'llama3',
            factor: 8,
            lowFrequencyFactor: 1,
            highFrequencyFactor: 4,
            originalMaxPositions: 64,
          },
        },
      },
    ],
    [
      'fixtures/models/llama-yarn',
      {
        rotary: {
          theta: 10000,
          dim: 16,
          scaling: { kind: 'yarn', factor: 4, originalMaxPositions: 64, betaFast: 32, betaSlow: 1, truncate: true },
        },
      },
    ],
    [
      'models/stories260K',
      { vocabularySize: 512, layers: 5, heads: 8, keyValueHeads: 4, headDim: 8, maxPositions: 512 },
    ],
  ];
  test.each(folders)('%s, in both generations of its rotary fields', (folder, expected) => {
    const config = read(`${folder}/config.json`);
    const generation = read(`${folder}/generation_config.json`);
    const parsed = parse(config, generation);
    expect(parsed).toMatchObject({ bosTokenId: 1, eosTokenIds: [2], ...expected });
    if ('rope_parameters' in config) {
      expect(parse(older(config, 'type'), generation)).toEqual(parsed);
      expect(parse(older(config, 'rope_type'), generation)).toEqual(parsed);
    } else {
      expect(parse(newer(config), generation)).toEqual(parsed);
    }
  });
});
