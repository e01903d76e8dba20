import { parseRotary } from '../config/rotary.ts';
import type { ExpertMatrixLayout, ExpertsLayout } from '../models/decoder/layout.ts';
import type { Family } from './shared/family.ts';
import { readLayerTypes, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** gpt-oss: attention sinks, every other layer with a window, experts with clamped gates. Source: https://arxiv.org/abs/2508.10925 */
export const gptOss: Family = {
  name: 'gpt_oss',
  architecture: 'GptOssForCausalLM',
  modelType: 'gpt_oss',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read(config) {
    const usual = { maxPositions: 131072, keyValueHeads: 8, headDim: 64, epsilon: 1e-5 };
    const sizes = readSizes(config, { ...usual, quantization: 'mxfp4' });
    const rotary = parseRotary(config, { ...sizes, theta: 150_000, usual: usualScaling, whole: true });
    const types = readLayerTypes(config, sizes.layers, (i) => i % 2 === 0);
    const window = readWindow(config, 128);
    const bias = config.boolean('attention_bias', true);
    config.only('hidden_act', ['silu', 'swish'], 'its experts have a gate of their own');
    config.value('initial_context_length'); // beside the rotary fields, which count
    const count = config.optionalInteger('num_local_experts', { min: 1 }) ?? 128;
    const fields = ['num_experts_per_tok', 'experts_per_token'] as const;
    const [stated, other] = fields.map((field) => config.optionalInteger(field, { min: 1, max: count }));
    const perToken = stated ?? other ?? 4;
    const activation = {
      limit: config.optionalNumber('swiglu_limit', { above: 0 }) ?? 7,
      alpha: config.optionalNumber('swiglu_alpha', { above: 0 }) ?? 1.702,
    };
    for (const field of ['output_router_logits', 'router_aux_loss_coef']) config.value(field); // of training
    const { hiddenSize: E, intermediateSize: F } = sizes;
    const experts = (name: string): ExpertsLayout => {
      const matrix = (
        purpose: string,
        stored: string,
        sizes: [number, number],
        columns: object,
      ): ExpertMatrixLayout => ({
        site: `${name}.experts.${purpose}`,
        inSize: sizes[0],
        outSize: sizes[1],
        weight: { kind: 'columns', name: `${name}.experts.${stored}`, ...columns },
        bias: { kind: 'columns', name: `${name}.experts.${stored}_bias`, ...columns },
      });
      return {
        kind: 'experts',
        router: { site: `${name}.router`, inSize: E, outSize: count, bias: true },
        count,
        perToken,
        normalize: true,
        activation,
        gate: matrix('gate_proj', 'gate_up_proj', [E, F], { first: 0, of: 2 }),
        up: matrix('up_proj', 'gate_up_proj', [E, F], { first: 1, of: 2 }),
        down: matrix('down_proj', 'down_proj', [F, E], {}),
      };
    };
    const whole = standardLayout(sizes, (i) => ({
      activation: 'silu',
      inputBias: bias,
      outputBias: bias,
      rotary: rotary.spec,
      window: types[i] === 'sliding_attention' ? window : undefined,
    }));
    return {
      layout: {
        ...whole,
        layers: whole.layers.map(({ mixer, feedForward }, i) => ({
          mixer: { ...mixer, part: { ...mixer.part, sinks: `model.layers.${i}.self_attn.sinks` } },
          feedForward: { ...feedForward, part: experts(`model.layers.${i}.mlp`) },
        })),
      },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

const usualScaling = {
  kind: 'yarn',
  factor: 32,
  originalMaxPositions: 4096,
  betaFast: 32,
  betaSlow: 1,
  truncate: false,
} as const;
