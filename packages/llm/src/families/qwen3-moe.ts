import type { JsonFields } from '../config/json-fields.ts';
import { parseRotary } from '../config/rotary.ts';
import type { ExpertsLayout } from '../models/decoder/layout.ts';
import { qwenWindows } from './qwen.ts';
import { expertMatrix } from './shared/expert-matrix.ts';
import type { Family } from './shared/family.ts';
import { readActivation, readBias, readSizes } from './shared/sizes.ts';
import { standardLayout } from './shared/standard.ts';

/** Qwen 3 with mixtures of many small experts in some layers. Source: https://arxiv.org/abs/2505.09388 */
export const qwen3Moe: Family = {
  name: 'qwen3_moe',
  architecture: 'Qwen3MoeForCausalLM',
  modelType: 'qwen3_moe',
  tokens: { bosTokenId: undefined, eosTokenId: undefined },
  read(config) {
    const sizes = readSizes(config, { maxPositions: 32768, keyValueHeads: 4 });
    const rotary = parseRotary(config, { ...sizes, whole: true });
    const activation = readActivation(config, 'hidden_act', 'silu');
    const attentionBias = readBias(config, 'attention_bias');
    const windowOf = qwenWindows(config, sizes.layers);
    const whole = standardLayout(sizes, (i) => ({
      activation,
      inputBias: attentionBias,
      outputBias: attentionBias,
      mlpBias: false,
      headNorms: 'head',
      rotary: rotary.spec,
      window: windowOf(i),
    }));
    const usual = { count: 128, perToken: 8, size: 768, normalize: false };
    const expertsOf = readExperts(config, sizes.hiddenSize, activation, usual);
    const dense = readDenseLayers(config);
    return {
      layout: {
        ...whole,
        layers: whole.layers.map((own, i) =>
          dense(i) ? own : { ...own, feedForward: { ...own.feedForward, part: expertsOf(`model.layers.${i}.mlp`) } },
        ),
      },
      maxPositions: rotary.maxPositions,
      tied: config.boolean('tie_word_embeddings', false),
    };
  },
};

/** Which layers have one feed-forward: those that `mlp_only_layers` names, and all but every `decoder_sparse_step`th. */
export function readDenseLayers(config: JsonFields): (index: number) => boolean {
  const named = config.optionalIntegers('mlp_only_layers') ?? [];
  const step = config.optionalInteger('decoder_sparse_step', { min: 1 }) ?? 1;
  return (i) => named.includes(i) || (i + 1) % step !== 0;
}

/** The experts of a layer; `usual` is what transformers takes where the configuration says nothing. */
export function readExperts(
  config: JsonFields,
  hiddenSize: number,
  activation: ExpertsLayout['activation'],
  usual: { readonly count: number; readonly perToken: number; readonly size: number; readonly normalize: boolean },
): (name: string) => ExpertsLayout {
  // the name that transformers 5 writes, and the one before
  const older = config.optionalInteger('num_experts', { min: 1 });
  const count = config.optionalInteger('num_local_experts', { min: 1 }) ?? older ?? usual.count;
  const perToken = config.optionalInteger('num_experts_per_tok', { min: 1, max: count }) ?? usual.perToken;
  const normalize = config.boolean('norm_topk_prob', usual.normalize);
  const size = config.optionalInteger('moe_intermediate_size', { min: 1 }) ?? usual.size;
  for (const field of ['output_router_logits', 'router_aux_loss_coef']) config.value(field); // of training
  return (name) => {
    const matrix = (purpose: string, inSize: number, outSize: number) =>
      expertMatrix(name, count, purpose, [inSize, outSize]);
    return {
      kind: 'experts',
      router: { site: `${name}.gate`, inSize: hiddenSize, outSize: count, bias: false },
      count,
      perToken,
      normalize,
      activation,
      gate: matrix('gate_proj', hiddenSize, size),
      up: matrix('up_proj', hiddenSize, size),
      down: matrix('down_proj', size, hiddenSize),
    };
  };
}
