import { parseRotary } from '../config/rotary.ts';
import type { ExpertsLayout } from '../models/decoder/layout.ts';
import { expertMatrix } from './shared/expert-matrix.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readSizes, readWindow } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Mixtral: a Mistral whose feed-forwards are mixtures of experts. Source: https://arxiv.org/abs/2401.04088 */
export const mixtral: Family = {
  name: 'mixtral',
  architecture: 'MixtralForCausalLM',
  modelType: 'mixtral',
  tokens: { bosTokenId: 1, eosTokenId: 2 },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 131072, keyValueHeads: 8, epsilon: 1e-5 });
    const rotary = parseRotary(config, { ...sizes, theta: 1_000_000, whole: true });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const window = readWindow(config, undefined);
    const count = config.optionalInteger('num_local_experts', { min: 1 }) ?? 8;
    const perToken = config.optionalInteger('num_experts_per_tok', { min: 1, max: count }) ?? 2;
    // of training
    for (const field of ['output_router_logits', 'router_aux_loss_coef', 'router_jitter_noise']) config.value(field);
    const layer = {
      activation,
      inputBias: false,
      outputBias: false,
      mlpBias: false,
      rotary: rotary.spec,
      window,
    } as const;
    const { hiddenSize, intermediateSize } = sizes;
    const experts = (i: number): ExpertsLayout => {
      const name = `model.layers.${i}.block_sparse_moe`;
      const matrix = (purpose: string, stored: string, inSize: number, outSize: number) =>
        expertMatrix(name, count, purpose, [inSize, outSize], stored);
      return {
        kind: 'experts',
        router: { site: `${name}.gate`, inSize: hiddenSize, outSize: count, bias: false },
        count,
        perToken,
        normalize: true,
        activation,
        gate: matrix('gate_proj', 'w1', hiddenSize, intermediateSize),
        up: matrix('up_proj', 'w3', hiddenSize, intermediateSize),
        down: matrix('down_proj', 'w2', intermediateSize, hiddenSize),
      };
    };
    const whole = standardLayout(sizes, () => layer);
    return {
      layout: {
        ...whole,
        layers: whole.layers.map((own, i) => ({ ...own, feedForward: { ...own.feedForward, part: experts(i) } })),
      },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};
